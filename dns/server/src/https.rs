//! DNS over HTTPS (RFC 8484): GET and POST at `/dns-query`, over HTTP/2.
//!
//! What must stay true:
//! - a reply of DNS is a success of HTTP whatever its response code (section 4.2.1); HTTP's own errors
//!   are for requests that hold no DNS message;
//! - a cache of HTTP keeps a reply no longer than DNS may (section 5.1), an error not at all, and an
//!   answer that was chosen for one client is `private`;
//! - one connection has a bounded number of exchanges at a time, each with a bounded body that must
//!   come within the idle time; without exchanges it ends after the idle time.
//!
//! Refused: HTTP/1.1. RFC 8484 section 5.2 recommends HTTP/2 as the least, every client has it, and
//! each parser that strangers reach is one more to keep safe.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};

use crate::respond::Summary;
use crate::service::{Place, Stop, stopped};

/// The path that clients are configured with by custom.
const PATH: &str = "/dns-query";

/// RFC 8484 section 6.
const MEDIA_TYPE: &str = "application/dns-message";

/// A DNS message cannot be longer.
const LONGEST: usize = 65_535;

/// Octets of header fields: the longest name makes a GET of four hundred.
const HEADERS: u32 = 16 * 1024;

/// Serves one connection to its end.
pub(crate) async fn serve<S>(stream: S, place: &Arc<Place>, client: IpAddr, stop: &mut Stop)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = place.service.settings.load().streams.clone();
    let activity = Arc::new(Activity::default());
    let service = {
        let (place, activity) = (place.clone(), activity.clone());
        service_fn(move |request| {
            let (place, busy) = (place.clone(), activity.begin());
            async move {
                let response = exchange(request, &place, client).await;
                drop(busy);
                Ok::<_, Infallible>(response)
            }
        })
    };
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(u32::from(limits.streams_per_connection))
        .max_header_list_size(HEADERS)
        .max_send_buf_size(LONGEST)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let idle = || {
        place
            .service
            .settings
            .peek()
            .streams
            .idle_with(place.service.connections.open())
    };
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                tracing::debug!(%client, error = ended.err().map(|error| error.to_string()), "HTTPS connection ended");
                return;
            }
            () = stopped(stop) => break,
            () = tokio::time::sleep(idle()) => {
                if activity.idle_for() >= idle() {
                    break;
                }
            }
        }
    }
    // Exchanges that have begun are finished.
    connection.as_mut().graceful_shutdown();
    let _ = timeout(limits.write, connection).await;
}

/// How many exchanges there are, and since when there are none.
#[derive(Debug)]
struct Activity {
    running: AtomicUsize,
    last: std::sync::Mutex<Instant>,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            running: AtomicUsize::new(0),
            last: std::sync::Mutex::new(Instant::now()),
        }
    }
}

impl Activity {
    fn begin(self: &Arc<Self>) -> Busy {
        self.running.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    fn idle_for(&self) -> Duration {
        if self.running.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        self.last.lock().map_or(Duration::ZERO, |last| last.elapsed())
    }
}

/// One exchange, counted.
struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        if let Ok(mut last) = self.0.last.lock() {
            *last = Instant::now();
        }
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn exchange(request: Request<Incoming>, place: &Place, client: IpAddr) -> Response<Full<Bytes>> {
    let limit = place.service.settings.peek().streams.idle;
    let message = match message(request, limit).await {
        Ok(message) => message,
        Err(status) => return refused(status),
    };
    let mut reply = Vec::new();
    match place.respond(&message, client, None, &mut reply) {
        Some(summary) => answered(reply, &summary),
        None => refused(StatusCode::BAD_REQUEST),
    }
}

/// The DNS message of a request, or HTTP's word for what is wrong.
async fn message(request: Request<Incoming>, limit: Duration) -> Result<Vec<u8>, StatusCode> {
    if request.uri().path() != PATH {
        return Err(StatusCode::NOT_FOUND);
    }
    match *request.method() {
        Method::GET => of_query(request.uri().query().unwrap_or_default()),
        Method::POST => {
            let media_type = request.headers().get(header::CONTENT_TYPE);
            if media_type.is_none_or(|media_type| media_type != MEDIA_TYPE) {
                return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
            }
            let body = Limited::new(request.into_body(), LONGEST).collect();
            match timeout(limit, body).await {
                Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
                Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
                Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
                Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
            }
        }
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// The variable `dns` in base64url without padding (RFC 8484 section 4.1 and section 6).
fn of_query(query: &str) -> Result<Vec<u8>, StatusCode> {
    let mut variables = query.split('&').filter_map(|variable| variable.strip_prefix("dns="));
    let (Some(text), None) = (variables.next(), variables.next()) else {
        return Err(StatusCode::BAD_REQUEST);
    };
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .map_err(|_| StatusCode::BAD_REQUEST)
}

fn answered(reply: Vec<u8>, summary: &Summary) -> Response<Full<Bytes>> {
    let cache = match summary.lifetime {
        Some(seconds) if summary.personal => format!("private, max-age={seconds}"),
        Some(seconds) => format!("max-age={seconds}"),
        None => "no-store".to_owned(),
    };
    let response = Response::builder()
        .header(header::CONTENT_TYPE, MEDIA_TYPE)
        .header(header::CACHE_CONTROL, cache)
        .body(Full::new(Bytes::from(reply)));
    response.unwrap_or_else(|_| refused(StatusCode::INTERNAL_SERVER_ERROR))
}

fn refused(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = header::HeaderValue::from_static("GET, POST");
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_found_and_decoded_without_padding() {
        let check = |query, expected: Result<&[u8], StatusCode>| {
            assert_eq!(of_query(query), expected.map(<[u8]>::to_vec), "{query}");
        };
        check("dns=AAE_", Ok(&[0, 1, 0x3f]));
        check("a=b&dns=-_8", Ok(&[0xfb, 0xff]));
        for bad in [
            "",
            "dns",
            "DNS=AAE",
            "dns=AAE_&dns=AAE_",
            "dns=AAE=",
            "dns=A+E/",
            "dns=A",
        ] {
            check(bad, Err(StatusCode::BAD_REQUEST));
        }
    }
}
