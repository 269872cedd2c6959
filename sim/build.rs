//! Refuses to build without `--cfg madsim`, and records the source revision for verdicts and traces.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_CFG_MADSIM").is_none() {
        println!(
            "cargo::error=the universe needs `--cfg madsim`, which .cargo/config.toml sets unless the RUSTFLAGS variable \
             replaces it: unset RUSTFLAGS, or add `--cfg madsim` to it"
        );
    }
    // The revision changes with a commit (the reflog grows) and with a checkout (HEAD changes). Git knows where they are: in a
    // worktree that is not below `.git`.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let revision = git(&["rev-parse", "--short=7", "HEAD"]);
    println!("cargo::rustc-env=ORRERY_REVISION={}", revision.as_deref().unwrap_or("unknown"));
}

/// What git answers, if it is there and the source is a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|answer| answer.trim().to_string())
}
