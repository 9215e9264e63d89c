//! What every request passes on its way in, and every response on its way out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::refusal::refusal;
use super::state::{Client, Shared};
use crate::model::Escaped;

/// Only content that this server itself serves, no inline script or style, no markup made from text
/// (Chromium's Trusted Types), and no frame of another page around this one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// Set on every response, errors too.
pub(super) const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    // File names must not stay in a cache, and a new release's page has to come with its own
    // scripts.
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Paths that probes and Prometheus request, by the pod's address.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Lets in only requests that read, and only under an allowed host name.
pub(super) async fn middleware(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let refused =
            refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here");
        return ([(header::ALLOW, "GET, HEAD")], refused).into_response();
    }
    let host = host(request.headers());
    if !is_allowed(&shared.hosts, host.as_deref(), request.uri().path()) {
        let reason = "this name is not among those that --allowed-host allows";
        return refusal(StatusCode::MISDIRECTED_REQUEST, reason);
    }
    in_json(next.run(request).await)
}

/// Gives a JSON body to the bare responses of the limits around the routes.
fn in_json(response: Response) -> Response {
    match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            refusal(StatusCode::PAYLOAD_TOO_LARGE, "no request has a body here")
        }
        StatusCode::SERVICE_UNAVAILABLE
            if !response.headers().contains_key(header::CONTENT_TYPE) =>
        {
            refusal(StatusCode::SERVICE_UNAVAILABLE, "there was no answer in time")
        }
        _ => response,
    }
}

/// Headers in which a proxy names the client that it asks for.
const FORWARDED: [&str; 2] = ["x-forwarded-for", "forwarded"];

/// Bytes of these headers that are logged, at most.
const FORWARDED_BYTES: usize = 256;

/// The access log. Probes that succeed are left out: there are thousands of them a day.
pub(super) async fn log(
    Extension(client): Extension<Client>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let uri = request.uri().to_string();
    let forwarded = forwarded(request.headers());
    let is_probe = PROBES.contains(&request.uri().path());
    let response = next.run(request).await;
    let status = response.status();
    if !is_probe || !status.is_success() {
        let (uri, status, milliseconds) =
            (Escaped(uri.as_bytes()), status.as_u16(), begun.elapsed().as_millis());
        tracing::info!("{method} {uri} {status} {milliseconds} ms from {}{forwarded}", client.0);
    }
    response
}

/// The client that a proxy says it asks for. Anybody can say that, so it stands at the end of the
/// line, where nothing that is true comes after it.
fn forwarded(headers: &HeaderMap) -> String {
    let Some(name) = FORWARDED.into_iter().find(|name| headers.contains_key(*name)) else {
        return String::new();
    };
    let values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let mut all = values.join(&b", "[..]);
    all.truncate(FORWARDED_BYTES);
    format!(", says for {}", Escaped(&all))
}

/// The host name without the port, in lower case.
fn host(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let name = match host.rsplit_once(':') {
        // An IPv6 address has colons within its brackets.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    Some(name.trim_end_matches('.').to_ascii_lowercase())
}

/// Whether a host name is allowed. An empty list allows every name. A probe may use an address: a
/// page that a stranger's name leads here (DNS rebinding) sends that name, not an address.
fn is_allowed(allowed: &[String], host: Option<&str>, path: &str) -> bool {
    let Some(host) = host else { return allowed.is_empty() };
    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    allowed.is_empty()
        || allowed.iter().any(|name| name == host)
        || (is_address && PROBES.contains(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_compared_without_port_and_case() {
        for (given, expected) in [
            ("Sync.Example:8080", "sync.example"),
            ("sync.example.", "sync.example"),
            ("[::1]:8080", "[::1]"),
            ("[::1]", "[::1]"),
            ("10.0.0.7:80", "10.0.0.7"),
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(given))]);
            assert_eq!(host(&headers).as_deref(), Some(expected), "{given}");
        }
    }

    #[test]
    fn only_listed_names_are_allowed_and_addresses_for_probes() {
        let allowed = ["sync.example".to_owned()];
        for (host, path, expected) in [
            (Some("sync.example"), "/", true),
            (Some("evil.example"), "/", false),
            (Some("evil.example"), "/metrics", false),
            (Some("10.0.0.7"), "/api/pairs", false),
            (Some("10.0.0.7"), "/metrics", true),
            (Some("[::1]"), "/healthz", true),
            (None, "/healthz", false),
        ] {
            assert_eq!(is_allowed(&allowed, host, path), expected, "{host:?} {path}");
            assert!(is_allowed(&[], host, path));
        }
    }
}
