//! Ctrl-C and SIGTERM: what was started ends first, and then this program says what became of it.

use std::{
    process::{Child, ExitCode, ExitStatus},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

/// The signal that asked this program to end; 0 while none has.
static ASKED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A terminal sends Ctrl-C to children as well. One that is still there after this was not asked by it.
const ASKED_BY_TERMINAL_WITHIN: Duration = Duration::from_millis(500);

/// From now on a signal is noted, and no longer ends this program at once.
pub(crate) fn listen() -> Result<()> {
    for signal in [SIGINT, SIGTERM] {
        let number = usize::try_from(signal).context("signals have positive numbers")?;
        flag::register_usize(signal, Arc::clone(&ASKED), number).context("cannot listen to signals")?;
    }
    Ok(())
}

/// Whether somebody asked this program to end.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::Relaxed) != 0
}

/// The exit code of a program that was asked to end: 130 after Ctrl-C, as shells have it.
pub(crate) fn exit_code() -> ExitCode {
    ExitCode::from(u8::try_from(128 + ASKED.load(Ordering::Relaxed)).unwrap_or(u8::MAX))
}

/// Waits for a child, and passes a signal on that reached this program alone.
pub(crate) fn wait(child: &mut Child) -> Result<ExitStatus> {
    let mut noticed: Option<Instant> = None;
    let mut passed_on = false;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a child")? {
            return Ok(status);
        }
        if asked() {
            let since = noticed.get_or_insert_with(Instant::now).elapsed();
            if since > ASKED_BY_TERMINAL_WITHIN && !passed_on {
                passed_on = true;
                pass_on(child)?;
            }
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn pass_on(child: &Child) -> Result<()> {
    let signal = if ASKED.load(Ordering::Relaxed) == SIGINT.unsigned_abs() as usize {
        Signal::INT
    } else {
        Signal::TERM
    };
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a child has no pid")?;
    // It has not been waited for, so the pid is still its own.
    kill_process(pid, signal).context("cannot pass a signal on")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_signal_that_reached_this_program_alone_is_passed_on_to_the_child() {
        listen().unwrap();
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        kill_process(rustix::process::getpid(), Signal::TERM).unwrap();
        let status = wait(&mut child).unwrap();
        assert!(!status.success(), "{status}");
        assert!(asked());
        assert_eq!(format!("{:?}", exit_code()), format!("{:?}", ExitCode::from(143)));
    }
}
