//! Stands in for the programs of a sandbox in tests: as `sandbox-stand-in supervise DIR` for `fleet`, with
//! `--listen ADDRESS` for the emulator or the controller. As such it answers everything, and dies when it is asked to.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["supervise", dir] => match fleet_sandbox::supervise(Path::new(dir)).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => say(&format!("{error}"), 1),
        },
        ["--listen", address, ..] => match serve(address).await {
            Ok(()) => say("told to die", 3),
            Err(error) => say(&format!("cannot serve on {address}: {error}"), 4),
        },
        _ => say("called with arguments that nobody gives", 2),
    }
}

fn say(text: &str, code: u8) -> ExitCode {
    match writeln!(io::stderr(), "{text}") {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::from(99),
    }
}

/// Answers requests until one asks for `/die`.
async fn serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let request = read_head(&mut stream).await?;
        if request.starts_with("GET /die ") {
            return Ok(());
        }
        let body = r#"{"clusters":[]}"#;
        let answer =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await?;
    }
}

async fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        match stream.read(&mut part).await? {
            0 => break,
            length => head.extend_from_slice(&part[..length]),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
