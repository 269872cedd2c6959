//! Refuses to build without `--cfg madsim`, and records the source revision for verdicts and traces.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_CFG_MADSIM").is_none() {
        println!(
            "cargo::error=the universe needs `--cfg madsim`, which .cargo/config.toml sets unless the RUSTFLAGS variable \
             replaces it: unset RUSTFLAGS, or add `--cfg madsim` to it"
        );
    }
    // The revision changes with a commit (the reflog grows) and with a checkout (HEAD changes).
    for path in ["../.git/HEAD", "../.git/logs/HEAD"] {
        if std::path::Path::new(path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let revision = Command::new("git")
        .args(["rev-parse", "--short=7", "HEAD"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok());
    println!("cargo::rustc-env=ORRERY_REVISION={}", revision.as_deref().map_or("unknown", str::trim));
}
