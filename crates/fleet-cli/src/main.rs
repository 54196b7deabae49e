//! The binary `fleet`.

fn main() -> std::process::ExitCode {
    fleet_cli::main()
}
