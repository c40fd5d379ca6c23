// What plain links and forms do not do. Each page works without it.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  document.body.addEventListener("htmx:configRequest", (event) => {
    const token = document.querySelector('meta[name="form-token"]');
    if (token) event.detail.headers["X-Form-Token"] = token.content;
  });
  // A form that filters is sent when a field changes.
  document.body.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-filter]");
    if (form) form.requestSubmit();
  });
  // What scrolls and holds nothing that Tab reaches is reached itself, so that keys can scroll it.
  const reachable = () => {
    for (const box of document.querySelectorAll(".scroll, nav ul, pre")) {
      if (box.hasAttribute("tabindex") && !box.hasAttribute("data-scrolls")) continue;
      const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
      if (scrolls && !box.querySelector("a[href], button, input, select, textarea, summary")) {
        box.setAttribute("tabindex", "0");
        box.setAttribute("data-scrolls", "");
      } else {
        box.removeAttribute("tabindex");
        box.removeAttribute("data-scrolls");
      }
    }
  };
  reachable();
  window.addEventListener("resize", reachable);
  document.body.addEventListener("htmx:afterSettle", reachable);
  // "/" leads to the first field of a filter, "?" to the list of keys, "g" and a letter to a page.
  let leader = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (leader) {
      leader = false;
      const link = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
      if (link) link.click();
      return;
    }
    if (event.key === "g") {
      leader = true;
      setTimeout(() => { leader = false; }, 1500);
    } else if (event.key === "/") {
      const field = document.querySelector("[data-search]");
      if (field) { event.preventDefault(); field.focus(); }
    }
  });
});
