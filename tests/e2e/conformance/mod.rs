//! What a ledger promises, on both of its stores: files of one machine, and the database of a fleet.
//!
//! Each case is written once and runs on both, as `disk::` and `fleet::` of its file. Where the stores are to do
//! different things, the case says what each must do. Under nextest each fleet case has a server of its own; under
//! `cargo test` they share one, and each has its own database.

mod answers;
mod desk;
mod drafts;
mod durability;
mod growth;
mod program;
mod recovery;
mod rules;

/// Makes a test of each case for each store.
macro_rules! on_both_stores {
    ($($case:ident),* $(,)?) => {
        mod disk {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $case() {
                    super::$case(super::super::desk::Kind::Disk).await;
                }
            )*
        }
        mod fleet {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $case() {
                    super::$case(super::super::desk::Kind::Fleet).await;
                }
            )*
        }
    };
}
use on_both_stores;
