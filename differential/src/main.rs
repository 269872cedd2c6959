//! The command `differential`: see [`differential::cli`].

fn main() -> std::process::ExitCode {
    differential::cli::main()
}
