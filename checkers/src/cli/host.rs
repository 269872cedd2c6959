//! The machine that the command runs on: files, time, and a thread that can be left behind.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the command works with files and real time")]

use std::io::{IsTerminal, Read};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use rustix::time::{ClockId, clock_gettime};

/// Reads a file, or standard input for `-`.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes a file whole: whoever reads it sees the old one or the new one.
pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut name = path.file_name().map(std::ffi::OsStr::to_os_string).unwrap_or_default();
    name.push(".partial");
    let partial = path.with_file_name(name);
    let written = std::fs::write(&partial, text).and_then(|()| std::fs::rename(&partial, path));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// What is read must not be written over.
pub(super) fn refuse_same(input: &Path, out: &Path) -> anyhow::Result<()> {
    let same = match (input.canonicalize(), out.canonicalize()) {
        (Ok(input), Ok(out)) => input == out,
        _ => input == out,
    };
    if same {
        bail!("{} is the history itself: choose another file to write", out.display());
    }
    Ok(())
}

/// CPU time that this thread has used.
pub(super) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Works in a thread of its own for as long as the time limit allows. Whoever waits at a terminal sees for what.
///
/// Nothing comes back when the time is up; the thread is then left behind, and ends with the process at the latest.
pub(super) fn within<T: Send + 'static>(
    time_limit: Option<u64>,
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<Option<T>> {
    const STACK: usize = 16 << 20;
    let (sender, receiver) = channel();
    let worker = move || {
        // Whoever waited may have gone.
        let _ = sender.send(work());
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(worker).context("cannot start a thread")?;
    let began = Instant::now();
    let mut progress: Option<ProgressBar> = None;
    let done = loop {
        match receiver.recv_timeout(Duration::from_millis(100)) {
            Ok(done) => break Some(done),
            Err(RecvTimeoutError::Disconnected) => break None,
            Err(RecvTimeoutError::Timeout) => {
                let elapsed = began.elapsed();
                if time_limit.is_some_and(|limit| elapsed >= Duration::from_secs(limit)) {
                    return Ok(None);
                }
                if elapsed > Duration::from_secs(1) && std::io::stderr().is_terminal() {
                    let bar = progress.get_or_insert_with(ProgressBar::new_spinner);
                    bar.set_message(format!("{what}: {} s", elapsed.as_secs()));
                    bar.tick();
                }
            }
        }
    };
    if let Some(bar) = progress {
        bar.finish_and_clear();
    }
    match done {
        Some(done) => Ok(Some(done)),
        None => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => bail!("the work ended without a result"),
        },
    }
}
