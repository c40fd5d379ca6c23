//! Pages in real Chromium. Without it these tests fail; `tests/run` installs it.
//!
//! Each test has a browser of its own, and ends with [`Browser::close`], where an error in the console, and so each
//! violation of the content security policy, fails it.

mod customer;
mod driver;
mod look;
mod pages;
mod proof;
mod scripts;
mod sign_in;
mod walk;

use crate::support::House;

pub use driver::Browser;

impl Browser {
    /// A browser at the review side of a house, where nobody is signed in.
    pub async fn at_door(house: &House) -> Browser {
        Browser::start(&format!("http://localhost:{}", house.admin().port())).await
    }

    /// Somebody with a new account, at the first page.
    pub async fn signed_in(house: &House, name: &str, role: &str) -> Browser {
        let password = house.account(name, role);
        let browser = Browser::at_door(house).await;
        browser.open("/").await;
        browser.sign_in(name, &password).await;
        browser.see("Overview").await;
        browser
    }

    pub async fn sign_in(&self, name: &str, password: &str) {
        self.fill("Name", name).await;
        self.fill("Password", password).await;
        self.press("Sign in").await;
    }
}
