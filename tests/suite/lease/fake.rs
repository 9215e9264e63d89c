//! An API server in this process that knows Leases and nothing else. It keeps the real one's rules
//! (see `rules.rs`, which both have to pass). It can be late, lose answers, be overloaded and
//! forget tokens.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

pub const ADMIN: &str = "admin";

/// What the server does with a request instead of answering it as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers so much later.
    Late(Duration),
    /// Does it and never says so.
    LostAnswer,
    /// Does nothing and answers with this status.
    Status(u16),
}

#[derive(Default)]
pub struct Inner {
    leases: BTreeMap<String, Value>,
    version: u64,
    /// Tokens, and the verbs that each may use.
    pub tokens: BTreeMap<String, Vec<&'static str>>,
    /// For the next requests of the method.
    faults: BTreeMap<String, VecDeque<Fault>>,
    /// For all requests.
    pub always: Option<Fault>,
    /// Methods of the requests that came in.
    pub requests: Vec<String>,
}

#[derive(Clone)]
pub struct Fake {
    pub inner: Arc<Mutex<Inner>>,
    pub port: u16,
}

impl Fake {
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let fake = Self { inner: Arc::default(), port };
        fake.inner
            .lock()
            .unwrap()
            .tokens
            .insert(ADMIN.into(), vec!["get", "create", "update", "delete"]);
        let app = Router::new().fallback(handle).with_state(fake.clone());
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                listener.set_nonblocking(true).unwrap();
                axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), app)
                    .await
                    .unwrap();
            });
        });
        fake
    }

    /// Something goes wrong with the next request of that method.
    pub fn fail_next(&self, method: &str, fault: Fault) {
        self.inner.lock().unwrap().faults.entry(method.into()).or_default().push_back(fault);
    }

    pub fn fail_all(&self, fault: Option<Fault>) {
        self.inner.lock().unwrap().always = fault;
    }

    /// Whether all that was to go wrong has.
    pub fn has_failed(&self) -> bool {
        self.inner.lock().unwrap().faults.values().all(VecDeque::is_empty)
    }
}

async fn handle(State(fake): State<Fake>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let is_admin = token(&parts.headers).as_deref() == Some(ADMIN);
    let (fault, answer) = {
        let mut inner = fake.inner.lock().unwrap();
        let next = inner.faults.get_mut(parts.method.as_str()).filter(|_| !is_admin);
        let fault = next.and_then(VecDeque::pop_front).or(inner.always.filter(|_| !is_admin));
        if !is_admin {
            inner.requests.push(parts.method.to_string());
        }
        let answer = match fault {
            Some(Fault::Status(status)) => refuse(status, "Fault", "as the test wants it"),
            _ => inner.answer(&parts.method, parts.uri.path(), &parts.headers, &body),
        };
        (fault, answer)
    };
    match fault {
        Some(Fault::Late(delay)) => tokio::time::sleep(delay).await,
        Some(Fault::LostAnswer) => std::future::pending().await,
        Some(Fault::Status(_)) | None => {}
    }
    let (status, value) = answer;
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let headers = [("content-type", "application/json".to_owned()), ("date", date)];
    (StatusCode::from_u16(status).unwrap(), headers, value.to_string()).into_response()
}

fn token(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("authorization")?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(|token| token.trim().to_owned())
}

type Answer = (u16, Value);

fn refuse(code: u16, reason: &str, message: &str) -> Answer {
    (
        code,
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code }),
    )
}

fn conflict(message: &str) -> Answer {
    refuse(409, "Conflict", message)
}

impl Inner {
    fn answer(&mut self, method: &Method, path: &str, headers: &HeaderMap, body: &Bytes) -> Answer {
        let Some(verbs) = token(headers).and_then(|token| self.tokens.get(&token)) else {
            return refuse(401, "Unauthorized", "Unauthorized");
        };
        let mut path =
            path.trim_start_matches("/apis/coordination.k8s.io/v1/namespaces/").split('/');
        let (namespace, name) = (path.next().unwrap_or_default(), path.nth(1).unwrap_or_default());
        let verb = match method.as_str() {
            "GET" if name.is_empty() => "list",
            "GET" => "get",
            "POST" => "create",
            "PUT" => "update",
            "DELETE" => "delete",
            _ => "patch",
        };
        if !verbs.contains(&verb) {
            let message = format!(
                "leases.coordination.k8s.io {name:?} is forbidden: User cannot {verb} resource \"leases\""
            );
            return refuse(403, "Forbidden", &message);
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        match verb {
            "get" => match self.leases.get(name) {
                Some(lease) => (200, lease.clone()),
                None => refuse(
                    404,
                    "NotFound",
                    &format!("leases.coordination.k8s.io {name:?} not found"),
                ),
            },
            "create" => self.create(namespace, body),
            "update" => self.update(name, body),
            _ => self.delete(name, &body),
        }
    }

    fn create(&mut self, namespace: &str, body: Value) -> Answer {
        let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if namespace != "infrastructure" {
            return refuse(404, "NotFound", &format!("namespaces {namespace:?} not found"));
        }
        if self.leases.contains_key(&name) {
            return refuse(
                409,
                "AlreadyExists",
                &format!("leases.coordination.k8s.io {name:?} already exists"),
            );
        }
        let uid = format!("uid-{}", self.version + 1);
        let (_, stored) = self.store(&name, body, &uid);
        (201, stored)
    }

    fn update(&mut self, name: &str, body: Value) -> Answer {
        let (uid, version) = (&body["metadata"]["uid"], &body["metadata"]["resourceVersion"]);
        let Some(stored) = self.leases.get(name) else {
            if !uid.is_null() {
                return conflict("Precondition failed: UID in precondition, UID in object meta: ");
            }
            let uid = format!("uid-{}", self.version + 1);
            let (_, stored) = self.store(name, body, &uid);
            return (201, stored);
        };
        if version.is_null() {
            return refuse(
                422,
                "Invalid",
                "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update",
            );
        }
        if !uid.is_null() && *uid != stored["metadata"]["uid"] {
            return conflict("Precondition failed: UID in precondition, UID in object meta");
        }
        if *version != stored["metadata"]["resourceVersion"] {
            return conflict("the object has been modified");
        }
        if body == *stored {
            return (200, body);
        }
        let uid = stored["metadata"]["uid"].as_str().unwrap().to_owned();
        self.store(name, body, &uid)
    }

    fn store(&mut self, name: &str, mut body: Value, uid: &str) -> Answer {
        for time in ["acquireTime", "renewTime"] {
            let value = body["spec"][time].as_str();
            if value.is_some_and(|value| value.len() != "2026-11-25T21:13:56.000000Z".len()) {
                return refuse(400, "BadRequest", "cannot parse a MicroTime");
            }
        }
        self.version += 1;
        body["metadata"]["uid"] = uid.into();
        body["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.leases.insert(name.to_owned(), body.clone());
        (200, body)
    }

    fn delete(&mut self, name: &str, body: &Value) -> Answer {
        let Some(stored) = self.leases.get(name) else {
            return refuse(
                404,
                "NotFound",
                &format!("leases.coordination.k8s.io {name:?} not found"),
            );
        };
        let wanted = &body["preconditions"];
        for part in ["uid", "resourceVersion"] {
            if !wanted[part].is_null() && wanted[part] != stored["metadata"][part] {
                return conflict(&format!("Precondition failed: {part}"));
            }
        }
        self.leases.remove(name);
        (200, json!({ "kind": "Status", "status": "Success" }))
    }
}
