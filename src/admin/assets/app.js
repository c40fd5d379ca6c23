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
