//! Wakes a task at an instant, with a precision of tens of microseconds.
//!
//! tokio's timers have a resolution of 1 ms, which would distort every latency of a run at a
//! constant rate.

#[cfg(target_os = "linux")]
pub(super) use precise::Alarm;

#[cfg(not(target_os = "linux"))]
pub(super) use coarse::Alarm;

#[cfg(target_os = "linux")]
mod precise {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::io::Errno;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;
    use tokio::time::{Instant, sleep_until};

    /// A separate `timerfd` for each waiting task.
    pub(in crate::load) struct Alarm(Option<AsyncFd<OwnedFd>>);

    impl Alarm {
        /// Falls back to tokio's timer when the process has no descriptors left.
        pub(in crate::load) fn new() -> Self {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags).ok();
            #[expect(
                deprecated,
                reason = "the replacement is unsafe for types that may close their descriptor early; OwnedFd cannot"
            )]
            Self(timer.and_then(|timer| AsyncFd::new(timer).ok()))
        }

        pub(in crate::load) async fn wait_until(&mut self, instant: Instant) {
            if self.wait_precisely(instant).await.is_err() {
                sleep_until(instant).await;
            }
        }

        async fn wait_precisely(&self, instant: Instant) -> io::Result<()> {
            let timer = self.0.as_ref().ok_or(io::ErrorKind::Unsupported)?;
            let left = instant.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let value = Timespec {
                tv_sec: left.as_secs().cast_signed(),
                tv_nsec: left.subsec_nanos().into(),
            };
            let once = Itimerspec {
                it_interval: Timespec {
                    tv_sec: 0,
                    tv_nsec: 0,
                },
                it_value: value,
            };
            timerfd_settime(timer, TimerfdTimerFlags::empty(), &once)?;
            loop {
                let mut ready = timer.readable().await?;
                match rustix::io::read(timer, &mut [0; 8]) {
                    Ok(_) => return Ok(()),
                    Err(Errno::AGAIN) => ready.clear_ready(),
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod coarse {
    use tokio::time::{Instant, sleep_until};

    /// tokio's timer, for systems without `timerfd`.
    pub(in crate::load) struct Alarm;

    impl Alarm {
        pub(in crate::load) fn new() -> Self {
            Self
        }

        pub(in crate::load) async fn wait_until(&mut self, instant: Instant) {
            sleep_until(instant).await;
        }
    }
}
