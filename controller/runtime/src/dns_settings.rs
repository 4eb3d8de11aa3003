//! `--dns-settings`: what an operator changes while the DNS server runs, from a file that is followed.
//!
//! What must stay true:
//! - what the file says wins over the flags; what it does not say is as the flags have it, so a line that
//!   is taken out of the file is undone;
//! - a file that cannot be read or has a mistake changes nothing at all; it is told once per change, with the
//!   file, the field and the reason, and looked at again. At the start it ends the program: a server
//!   without the limits that somebody wrote for it would look as if it had them;
//! - the cookie secrets have another writer and are never touched here.
//!
//! The file is read every few seconds and compared. Refused: notifications of the file system, as for
//! certificates: Kubernetes swaps a symbolic link two levels above the file of a ConfigMap. Refused: a time
//! stamp instead of the content: two writes within its resolution look like one.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use ipnet::IpNet;
use meridian_dns_server::{CookiePolicy, Cookies, RateLimits, Settings, SharedSettings};
use serde::de::{Deserialize, Deserializer, Error as _};

/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(5);

/// All that a file may say. A field that is not there is as the flags have it.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Written {
    identity: IdentityWritten,
    #[serde(deserialize_with = "within::<_, _, 512, 4096>")]
    udp_payload: Option<u16>,
    subnets: SubnetsWritten,
    cookies: CookiesWritten,
    /// `null` switches the limit off, whatever the flags say.
    #[serde(deserialize_with = "said")]
    rate_limit: Option<Option<RateWritten>>,
    signing: SigningWritten,
    streams: StreamsWritten,
}

/// `null` refuses the questions.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct IdentityWritten {
    #[serde(deserialize_with = "text")]
    version: Option<Option<String>>,
    #[serde(deserialize_with = "text")]
    identifier: Option<Option<String>>,
}

#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct SubnetsWritten {
    trusted_resolvers: Option<Vec<IpNet>>,
    strangers: Option<bool>,
}

#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct CookiesWritten {
    policy: Option<PolicyWritten>,
}

#[derive(Debug, Clone, Copy, PartialEq, serde::Deserialize)]
enum PolicyWritten {
    Offer,
    Require,
}

/// Rates are per second; 0 is no limit.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct RateWritten {
    answers: Option<u32>,
    negatives: Option<u32>,
    errors: Option<u32>,
    all: Option<u32>,
    #[serde(deserialize_with = "within::<_, _, 1, 3600>")]
    burst: Option<u32>,
    slip: Option<u16>,
    exempt: Option<Vec<IpNet>>,
}

#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct SigningWritten {
    network: Option<u32>,
    all: Option<u32>,
    #[serde(deserialize_with = "within::<_, _, 1, 3600>")]
    burst: Option<u32>,
}

#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct StreamsWritten {
    #[serde(deserialize_with = "within::<_, _, 1, 3600>")]
    idle_seconds: Option<u64>,
    #[serde(deserialize_with = "within::<_, _, 1, 3600>")]
    write_seconds: Option<u64>,
    #[serde(deserialize_with = "within::<_, _, 1, 3600>")]
    handshake_seconds: Option<u64>,
    // A server without connections has no answer for those who were told to come over TCP.
    #[serde(deserialize_with = "within::<_, _, 1, 1_000_000>")]
    connections: Option<usize>,
    #[serde(deserialize_with = "within::<_, _, 1, 1_000_000>")]
    connections_per_client: Option<usize>,
    #[serde(deserialize_with = "within::<_, _, 0, 10_000>")]
    transfers: Option<usize>,
    #[serde(deserialize_with = "within::<_, _, 1, 10_000>")]
    streams_per_connection: Option<u16>,
}

/// Tells `null` from what is not there.
fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A text that fits into one string of a TXT record (RFC 1035 section 3.3), or `null`.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    match text.as_ref().map_or(0, String::len) {
        0..=255 => Ok(Some(text)),
        length => Err(D::Error::custom(format!("{length} octets, at most 255 can be told"))),
    }
}

/// A number of at least and at most so much.
fn within<'de, D: Deserializer<'de>, T: TryFrom<u64>, const LEAST: u64, const MOST: u64>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let Some(number) = Option::<u64>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let fits = (LEAST..=MOST).contains(&number).then(|| T::try_from(number).ok());
    fits.flatten()
        .map(Some)
        .ok_or_else(|| D::Error::custom(format!("{number} is not within {LEAST} and {MOST}")))
}

fn set<T: Clone>(place: &mut T, written: Option<&T>) {
    if let Some(written) = written {
        place.clone_from(written);
    }
}

impl Written {
    fn parse(text: &str) -> Result<Self, String> {
        let mut place = None;
        let read = serde_saphyr::with_deserializer_from_str(text, |deserializer| {
            serde_path_to_error::deserialize::<_, Option<Self>>(deserializer).map_err(|error| {
                place = Some(error.path().to_string()).filter(|place| place != ".");
                error.into_inner()
            })
        });
        read.map(Option::unwrap_or_default).map_err(|error| {
            // An excerpt of the file would be many lines in the log.
            let reason = error.without_snippet();
            place.map_or_else(|| reason.to_string(), |place| format!("{place}: {reason}"))
        })
    }

    /// The flags' settings with what is written here. `cookies` are those in use.
    fn over(&self, flags: &Settings, cookies: Option<&Cookies>) -> Settings {
        let mut settings = flags.clone();
        set(&mut settings.identity.version, self.identity.version.as_ref());
        let identifier = self.identity.identifier.clone();
        let identifier = identifier.map(|text| text.map(String::into_bytes));
        set(&mut settings.identity.server, identifier.as_ref());
        set(&mut settings.udp_payload, self.udp_payload.as_ref());
        set(&mut settings.subnets.resolvers, self.subnets.trusted_resolvers.as_ref());
        set(&mut settings.subnets.strangers, self.subnets.strangers.as_ref());
        let policy = self.cookies.policy.map(|policy| match policy {
            PolicyWritten::Offer => CookiePolicy::Offer,
            PolicyWritten::Require => CookiePolicy::Require,
        });
        let policy = policy.or(flags.cookies.as_ref().map(|cookies| cookies.policy));
        settings.cookies = cookies.cloned();
        if let Some(cookies) = &mut settings.cookies {
            set(&mut cookies.policy, policy.as_ref());
        }
        match &self.rate_limit {
            None => {}
            Some(None) => settings.rate = None,
            Some(Some(rate)) => {
                let limits = settings.rate.get_or_insert_with(RateLimits::default);
                set(&mut limits.answers, rate.answers.as_ref());
                set(&mut limits.negatives, rate.negatives.as_ref());
                set(&mut limits.errors, rate.errors.as_ref());
                set(&mut limits.all, rate.all.as_ref());
                set(&mut limits.burst, rate.burst.as_ref());
                set(&mut limits.slip, rate.slip.as_ref());
                set(&mut limits.exempt, rate.exempt.as_ref());
            }
        }
        set(&mut settings.signing.network, self.signing.network.as_ref());
        set(&mut settings.signing.all, self.signing.all.as_ref());
        set(&mut settings.signing.burst, self.signing.burst.as_ref());
        let (streams, limits) = (&self.streams, &mut settings.streams);
        let seconds = |written: Option<u64>| written.map(Duration::from_secs);
        set(&mut limits.idle, seconds(streams.idle_seconds).as_ref());
        set(&mut limits.write, seconds(streams.write_seconds).as_ref());
        set(&mut limits.handshake, seconds(streams.handshake_seconds).as_ref());
        set(&mut limits.connections, streams.connections.as_ref());
        set(
            &mut limits.connections_per_client,
            streams.connections_per_client.as_ref(),
        );
        set(&mut limits.transfers, streams.transfers.as_ref());
        set(
            &mut limits.streams_per_connection,
            streams.streams_per_connection.as_ref(),
        );
        settings
    }
}

/// The file that is followed, and what holds where it says nothing.
#[derive(Debug, Clone)]
pub(crate) struct SettingsFile {
    path: PathBuf,
    every: Duration,
    flags: Settings,
    /// What was read last, good or not; an error as its text.
    seen: Result<String, String>,
}

impl SettingsFile {
    /// Reads the file over the settings of the flags.
    pub(crate) fn load(path: PathBuf, settings: &mut Settings) -> Result<Self> {
        let failed = || format!("{}, given by --dns-settings, cannot be used", path.display());
        let text = fs::read_to_string(&path).with_context(failed)?;
        let written = Written::parse(&text).map_err(anyhow::Error::msg).with_context(failed)?;
        let flags = settings.clone();
        *settings = written.over(&flags, flags.cookies.as_ref());
        Ok(Self {
            path,
            every: EVERY,
            flags,
            seen: Ok(text),
        })
    }

    /// Takes every good change of the file into the settings, for ever.
    pub(crate) async fn follow(mut self, settings: SharedSettings) {
        loop {
            tokio::time::sleep(self.every).await;
            let path = self.path.clone();
            // The file may be on a slow network.
            let read = tokio::task::spawn_blocking(move || fs::read_to_string(path)).await;
            let read = match read {
                Ok(read) => read.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            self.look(read, &settings);
        }
    }

    /// Takes what was read into the settings, if it is new and good.
    fn look(&mut self, read: Result<String, String>, settings: &SharedSettings) {
        if read == self.seen {
            return;
        }
        let written = read.clone().and_then(|text| Written::parse(&text));
        self.seen = read;
        match written {
            Ok(written) => {
                settings.update(|settings| *settings = written.over(&self.flags, settings.cookies.as_ref()));
                tracing::info!(file = %self.path.display(), "new settings of the DNS server are in use");
            }
            Err(reason) => {
                tracing::warn!(file = %self.path.display(), reason, "the settings before stay in use");
            }
        }
    }
}

#[cfg(test)]
mod tests;
