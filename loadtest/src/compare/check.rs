//! Verification before a measurement: correct responses from the origin, and rejections where they
//! are required.

use std::net::SocketAddr;
use std::time::Duration;

use super::Missing;
use super::catalogue::Scenario;
use super::configure::{Listen, Setup};
use super::load::{Handshake, Load, Ran, run};
use super::stage::{Origin, Stage};

/// Requests that must all succeed.
const REQUESTS: u32 = 40;

/// Requests that must all be rejected.
const REFUSALS: u32 = 8;

/// Connections of a check.
const CONNECTIONS: usize = 4;

/// Maximum duration of a check.
const LIMIT: Duration = Duration::from_secs(30);

/// Response timeout of a check.
const ANSWER_LIMIT: &str = "5s";

/// The target of a check.
pub(super) struct Asked<'a> {
    pub(super) stage: &'a Stage,
    pub(super) scenario: &'a Scenario,
    pub(super) address: SocketAddr,
    /// The origin that must have received the requests.
    pub(super) origin: &'a Origin,
}

impl Asked<'_> {
    /// All checks of the scenario.
    pub(super) async fn check(&self) -> Result<(), Missing> {
        let checked = self.right_answers().await;
        let checked = match checked {
            Ok(()) => self.refusals().await,
            wrong => wrong,
        };
        checked.map_err(Missing::Wrong)
    }

    async fn right_answers(&self) -> Result<(), String> {
        let load = &self.scenario.load;
        let before = self.origin.received().await?;
        let ran = self.send(load, &self.scenario.setup, REQUESTS, &[]).await?;
        if let Some(trouble) = ran.trouble {
            return Err(trouble);
        }
        self.is_true(&ran, CONNECTIONS)?;
        let received = self.origin.received().await? - before;
        came_through(load, ran.requests, received)
    }

    /// The requests of a report, in addition to responses.
    pub(super) fn is_true(&self, ran: &Ran, connections: usize) -> Result<(), String> {
        let tls = self.scenario.setup.listen != Listen::Plain;
        if tls && ran.handshakes == 0.0 {
            return Err("there was no TLS handshake".to_owned());
        }
        match self.scenario.load.handshakes {
            Some(Handshake::Resumed) if ran.resumed + (connections as f64) < ran.handshakes => {
                Err(format!(
                    "{} of {} handshakes were resumed",
                    ran.resumed, ran.handshakes
                ))
            }
            Some(Handshake::Full) | None if ran.resumed > 0.0 => Err(format!(
                "{} handshakes were resumed, but none should be",
                ran.resumed
            )),
            _ => Ok(()),
        }
    }

    async fn refusals(&self) -> Result<(), String> {
        let setup = &self.scenario.setup;
        if setup.listen != Listen::Plain {
            // It must not respond without TLS.
            let plain = Setup {
                listen: Listen::Plain,
                ..setup.clone()
            };
            let load = Load {
                handshakes: None,
                length: None,
                ..self.scenario.load.clone()
            };
            self.refused(&load, &plain, "a client without TLS").await?;
        }
        if setup.listen == Listen::Mtls {
            // A successful handshake is no proof: in TLS 1.3 the rejection comes after it.
            let tls = Setup {
                listen: Listen::Tls,
                ..setup.clone()
            };
            let load = Load {
                handshakes: None,
                length: None,
                ..self.scenario.load.clone()
            };
            self.refused(&load, &tls, "a client without a certificate")
                .await?;
        }
        if let Some(tokens) = self.scenario.load.tokens {
            let load = Load {
                tokens: None,
                length: None,
                ..self.scenario.load.clone()
            };
            let file = |name: &str| self.stage.material.join(name).display().to_string();
            let bad = tokens
                .algorithm()
                .bad()
                .map(|(name, what)| (what, vec!["--bearer-file".to_owned(), file(name)]));
            for (what, mut words) in bad
                .into_iter()
                .chain([("a request without a token", Vec::new())])
            {
                words.extend(["--expect-status".to_owned(), "401".to_owned()]);
                let ran = self.send(&load, setup, REFUSALS, &words).await?;
                if let Some(trouble) = ran.trouble {
                    return Err(format!("{what} does not get 401: {trouble}"));
                }
            }
        }
        Ok(())
    }

    /// Fails unless every request of this load fails.
    async fn refused(&self, load: &Load, setup: &Setup, who: &str) -> Result<(), String> {
        let words = ["--retry-stale".to_owned(), "false".to_owned()];
        let ran = self.send(load, setup, REFUSALS, &words).await?;
        if ran.passed > 0.0 {
            Err(format!("{who} is not rejected"))
        } else {
            Ok(())
        }
    }

    async fn send(
        &self,
        load: &Load,
        setup: &Setup,
        requests: u32,
        more: &[String],
    ) -> Result<Ran, String> {
        let connections = load.connections.min(CONNECTIONS);
        let load = Load {
            connections,
            rate: None,
            ..load.clone()
        };
        let mut words = load.arguments(setup, self.address, &self.stage.material);
        words.extend(["--requests".to_owned(), requests.to_string()]);
        words.extend(["--timeout".to_owned(), ANSWER_LIMIT.to_owned()]);
        words.extend_from_slice(more);
        run(&self.stage.program, &words, LIMIT).await
    }
}

/// Responses that the origin did not send do not count.
pub(super) fn came_through(load: &Load, requests: f64, received: f64) -> Result<(), String> {
    if load.handshakes.is_none() && received < requests {
        return Err(format!(
            "{requests} requests got a response, but the origin received {received}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_must_have_come_from_the_origin() {
        let load = Load::small();
        assert!(came_through(&load, 40.0, 40.0).is_ok());
        assert!(
            came_through(&load, 40.0, 39.0)
                .unwrap_err()
                .contains("the origin received 39")
        );
        let shake = Load {
            handshakes: Some(Handshake::Full),
            ..load
        };
        assert!(came_through(&shake, 40.0, 0.0).is_ok());
    }
}
