//! Nothing is measured before it has been seen to do what it should: right answers, by the origin, and refusals where
//! something must be refused.

use std::net::SocketAddr;
use std::time::Duration;

use super::Missing;
use super::catalogue::Scenario;
use super::configure::{Listen, Setup};
use super::load::{Handshake, Load, Ran, run};
use super::stage::{Origin, Stage};

/// Requests of which every one must be answered.
const REQUESTS: u32 = 40;

/// Requests of which every one must be refused.
const REFUSALS: u32 = 8;

/// Connections of a check.
const CONNECTIONS: usize = 4;

/// How long a check may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How long the load of a check waits for an answer.
const ANSWER_LIMIT: &str = "5s";

/// Whom a check asks.
pub(super) struct Asked<'a> {
    pub(super) stage: &'a Stage,
    pub(super) scenario: &'a Scenario,
    pub(super) address: SocketAddr,
    /// The origin that must have answered.
    pub(super) origin: &'a Origin,
}

impl Asked<'_> {
    /// All checks that fit the scenario.
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

    /// What a report says beside the answers.
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
                "{} handshakes were resumed, none was to be",
                ran.resumed
            )),
            _ => Ok(()),
        }
    }

    async fn refusals(&self) -> Result<(), String> {
        let setup = &self.scenario.setup;
        if setup.listen != Listen::Plain {
            // Spoken to without TLS it must not answer.
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
            // A handshake alone does not tell: in TLS 1.3 the refusal comes behind it.
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
                    return Err(format!("{what} is not answered with 401: {trouble}"));
                }
            }
        }
        Ok(())
    }

    /// An error unless every single request of this load fails.
    async fn refused(&self, load: &Load, setup: &Setup, who: &str) -> Result<(), String> {
        let words = ["--retry-stale".to_owned(), "false".to_owned()];
        let ran = self.send(load, setup, REFUSALS, &words).await?;
        if ran.passed > 0.0 {
            Err(format!("{who} is not refused"))
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

/// Answers that the origin knows nothing of are none.
pub(super) fn came_through(load: &Load, requests: f64, received: f64) -> Result<(), String> {
    if load.handshakes.is_none() && received < requests {
        return Err(format!(
            "{requests} requests were answered, but the origin received {received}"
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
