#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use clap::{Command, CommandFactory};
use expect_test::expect_file;

use crate::Cli;

/// Calls `visit` with every command that a user can type, and its path.
fn each_command(command: &Command, path: &str, visit: &mut impl FnMut(&Command, &str)) {
    visit(command, path);
    for below in command.get_subcommands() {
        each_command(below, &format!("{path} {}", below.get_name()), visit);
    }
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_an_example_and_every_option_a_sentence() {
    each_command(&Cli::command(), "meridian", &mut |command, path| {
        let after = command.get_after_help().map(ToString::to_string);
        let example = after.unwrap_or_default();
        assert!(example.contains("Example"), "{path} has no example");
        assert!(
            example.contains("\n  meridian "),
            "{path}: an example begins with `meridian`"
        );
        assert!(
            command.get_about().is_some(),
            "{path} says not what it does"
        );
        for argument in command.get_arguments() {
            let help = argument.get_help().map(ToString::to_string);
            let id = argument.get_id();
            assert!(help.is_some_and(|help| help.len() > 5), "{path}: {id}");
        }
    });
}

#[test]
fn examples_parse() {
    each_command(&Cli::command(), "meridian", &mut |command, path| {
        let after = command.get_after_help().map(ToString::to_string);
        for line in after.unwrap_or_default().lines() {
            let Some(example) = line.strip_prefix("  meridian ") else {
                continue;
            };
            for typed in example
                .split(" && ")
                .map(|part| part.trim_start_matches("meridian "))
            {
                let words = words(typed);
                let parsed = Cli::command().try_get_matches_from(
                    std::iter::once("meridian").chain(words.iter().map(String::as_str)),
                );
                assert!(parsed.is_ok(), "{path}: {typed}: {}", parsed.unwrap_err());
            }
        }
    });
}

/// The words of a line of shell as far as examples need it: quotes, and redirections left out.
fn words(line: &str) -> Vec<String> {
    let command = line.split(" > ").next().unwrap();
    let mut words = Vec::new();
    for (at, part) in command.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn help_is_what_it_was() {
    let mut root = Cli::command();
    root.build();
    let mut text = String::new();
    each_command(&root, "meridian", &mut |command, path| {
        let help = command.clone().term_width(100).render_help();
        text += &format!("$ {path} --help\n{help}\n");
    });
    let trimmed: Vec<&str> = text.lines().map(str::trim_end).collect();
    expect_file!["../tests/help.txt"].assert_eq(&(trimmed.join("\n") + "\n"));
}
