//! The machine that the command runs on: files, lines, time, and a thread to wait for.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the command works with files and real time")]

use std::io::{BufRead, BufReader, BufWriter, IsTerminal, Read, Write};
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

/// The longest line of a stream, in bytes.
const LONGEST: u64 = 256 << 20;

/// The lines of a file, or of standard input for `-`, as they come.
pub(super) struct Lines {
    input: Box<dyn BufRead>,
    line: Vec<u8>,
}

impl Lines {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let input: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(BufReader::with_capacity(1 << 16, std::io::stdin()))
        } else {
            let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            Box::new(BufReader::with_capacity(1 << 16, file))
        };
        Ok(Self { input, line: Vec::new() })
    }

    /// The next line without its end, if there is one.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<&[u8]>> {
        self.line.clear();
        let read = self.input.by_ref().take(LONGEST).read_until(b'\n', &mut self.line).context("cannot read on")?;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else if read as u64 == LONGEST {
            bail!("a line has more than {LONGEST} bytes");
        }
        Ok((read > 0).then_some(&self.line))
    }
}

/// Standard output for many lines.
pub(super) fn output() -> impl Write {
    BufWriter::with_capacity(1 << 16, std::io::stdout().lock())
}

/// Says what is going on, to whoever waits at a terminal.
pub(super) struct Status {
    bar: Option<ProgressBar>,
    said: Instant,
}

impl Status {
    pub(super) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
        Self { bar, said: Instant::now() }
    }

    /// Says it if nothing was said for a moment.
    pub(super) fn say(&mut self, what: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar
            && self.said.elapsed() > Duration::from_millis(100)
        {
            bar.set_message(what());
            bar.tick();
            self.said = Instant::now();
        }
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
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

/// Says when the time is up, counted from now in seconds.
pub(super) fn deadline(time_limit: Option<u64>) -> impl FnMut() -> bool + Send + 'static {
    let began = Instant::now();
    move || time_limit.is_some_and(|limit| began.elapsed() >= Duration::from_secs(limit))
}

/// Works in a thread of its own. Whoever waits at a terminal sees for what.
pub(super) fn patiently<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    const STACK: usize = 16 << 20;
    let (sender, receiver) = channel();
    let worker = move || {
        // Whoever waits does so until the end.
        let _ = sender.send(work());
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(worker).context("cannot start a thread")?;
    let began = Instant::now();
    let mut status = Status::new();
    loop {
        match receiver.recv_timeout(Duration::from_millis(100)) {
            Ok(done) => return Ok(done),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let seconds = began.elapsed().as_secs();
                if seconds >= 1 {
                    status.say(|| format!("{what}: {seconds} s"));
                }
            }
        }
    }
    drop(status);
    match thread.join() {
        Err(panic) => std::panic::resume_unwind(panic),
        Ok(()) => bail!("the work ended without a result"),
    }
}
