//! A release archive: the binary, its manual and the examples.

use anyhow::{Context, Result};

use crate::{setup, shell};

/// Builds `target/dist/meridian-VERSION-ARCH.tar.gz`.
pub fn run() -> Result<()> {
    setup::run(setup::Need::Build)?;
    shell::run(&mut shell::cargo(&[
        "build",
        "--profile",
        "dist",
        "--package",
        "meridian",
    ]))?;
    let name = format!(
        "meridian-{}-{}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH
    );
    let folder = shell::root().join("target/dist").join(&name);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let target = folder.to_string_lossy();
    for source in [
        "target/dist/meridian",
        "LICENSE",
        "README.md",
        "config/examples",
        "policies/library",
    ] {
        shell::run(&mut shell::command("cp", &["-r", source, &target]))?;
    }
    let archive = format!("target/dist/{name}.tar.gz");
    shell::run(&mut shell::command(
        "tar",
        &["-C", "target/dist", "-czf", &archive, &name],
    ))?;
    println!("{archive}");
    Ok(())
}
