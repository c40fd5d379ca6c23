//! Pages in real Chromium. Without it these tests fail; `tests/run` installs it.
//!
//! Each test has a browser of its own, and ends with [`Browser::close`], where an error in the console, and so each
//! violation of the content security policy, fails it.

mod driver;
mod look;
mod proof;

pub use driver::Browser;
