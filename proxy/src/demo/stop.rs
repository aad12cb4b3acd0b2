//! Ctrl-C, SIGTERM and SIGHUP, and the only way the demo waits: for one of them, with a deadline.
//!
//! In: the signals of this process. Out: `Interrupted`, which every caller hands up until the demo's servers have
//! been dropped, and so ended. The demo asks between its commands; nothing is ended from inside a signal.
//! Waiting for a fact is `until`: look, pause, look again; a pause ends at once when a signal comes.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

/// Between two looks at something that is awaited.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The user wants the demo to end.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub(super) struct Interrupted;

/// Tells when the demo is to end.
#[derive(Debug)]
pub(super) struct Stop {
    signals: Receiver<()>,
}

impl Stop {
    /// From now on the three signals no longer end the process: they are told here.
    pub(super) fn listen() -> io::Result<Self> {
        let (sender, signals) = sync_channel(1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let registered = {
            let _context = runtime.enter();
            (
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
            )
        };
        let (mut interrupt, mut terminate, mut hangup) = registered;
        let watch = async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                tell(&sender);
            }
        };
        // Lives as long as the process: it waits for signals only.
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || runtime.block_on(watch))?;
        Ok(Self { signals })
    }

    /// Fails once a signal has come.
    pub(super) fn check(&self) -> Result<(), Interrupted> {
        match self.signals.try_recv() {
            Err(TryRecvError::Empty) => Ok(()),
            Ok(()) | Err(TryRecvError::Disconnected) => Err(Interrupted),
        }
    }

    /// Waits for a signal, at most `time`.
    pub(super) fn pause(&self, time: Duration) -> Result<(), Interrupted> {
        match self.signals.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(Interrupted),
        }
    }

    /// Waits for a signal, however long.
    pub(super) fn wait(&self) {
        // An error means that the thread is gone, and then nothing can be awaited any more.
        let _signal_or_no_thread = self.signals.recv();
    }

    /// Asks `look` until it finds something; `None` when it has not within `time`.
    pub(super) fn until<T>(
        &self,
        time: Duration,
        mut look: impl FnMut() -> Option<T>,
    ) -> Result<Option<T>, Interrupted> {
        let start = Instant::now();
        loop {
            if let Some(found) = look() {
                return Ok(Some(found));
            }
            if start.elapsed() >= time {
                return Ok(None);
            }
            self.pause(LOOK_INTERVAL)?;
        }
    }
}

/// A full channel means that a signal is already waiting to be seen.
fn tell(sender: &SyncSender<()>) {
    let _full_or_gone = sender.try_send(());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_ends_every_wait_and_silence_none() {
        let (sender, signals) = sync_channel(1);
        let stop = Stop { signals };
        assert_eq!(stop.check(), Ok(()));
        assert_eq!(stop.pause(Duration::from_millis(1)), Ok(()));
        tell(&sender);
        tell(&sender);
        assert_eq!(stop.until(Duration::from_secs(60), || None::<()>), Err(Interrupted));
        assert_eq!(stop.check(), Ok(()));
        drop(sender);
        assert_eq!(stop.check(), Err(Interrupted));
    }

    #[test]
    fn until_gives_what_is_found_and_nothing_at_the_deadline() {
        let (_sender, signals) = sync_channel(1);
        let stop = Stop { signals };
        let mut looks = 0;
        let found = stop.until(Duration::from_secs(60), || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(found, Ok(Some(3)));
        assert_eq!(stop.until(Duration::ZERO, || None::<()>), Ok(None));
    }
}
