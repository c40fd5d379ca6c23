//! `fieldgate explain-code`.

use anyhow::bail;
use serde::Serialize;

use crate::diagnostic::codes::{self, Code};

use super::{Answer, Format};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The code that stands in brackets behind `error`, `warning` or `note`, such as E104; all where it is left out
    code: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Serialize)]
struct Line {
    code: &'static str,
    severity: &'static str,
    title: &'static str,
    explanation: &'static str,
    wrong: &'static str,
    right: &'static str,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let Some(written) = &arguments.code else {
        for code in codes::all() {
            match arguments.format {
                Format::Table => println!("{}  {}", code.id(), code.title()),
                Format::Json => print_line(code)?,
            }
        }
        return Ok(Answer::Yes);
    };
    let Some(code) = codes::find(written) else {
        match codes::near(written).as_slice() {
            [] => bail!("no code is called {written}; `fieldgate explain-code` lists all"),
            near => bail!("no code is called {written}; there are {}", near.join(", ")),
        }
    };
    match arguments.format {
        Format::Table => print_text(code),
        Format::Json => print_line(code)?,
    }
    Ok(Answer::Yes)
}

fn print_text(code: &Code) {
    println!("{} ({}): {}\n", code.id(), code.severity().word(), code.title());
    println!("{}\n", code.explanation());
    for (label, example) in [("Wrong", code.wrong()), ("Right", code.right())] {
        println!("{label}:");
        example.lines().for_each(|line| println!("    {line}"));
    }
}

fn print_line(code: &Code) -> anyhow::Result<()> {
    let line = Line {
        code: code.id(),
        severity: code.severity().word(),
        title: code.title(),
        explanation: code.explanation(),
        wrong: code.wrong(),
        right: code.right(),
    };
    println!("{}", serde_json::to_string(&line)?);
    Ok(())
}
