use std::process::ExitCode;

fn main() -> ExitCode {
    fieldgate::cli::run()
}
