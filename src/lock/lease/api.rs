//! The API server: four verbs on one Lease, each call with a bound. The home of `kube`,
//! `k8s-openapi` and `tokio`.
//!
//! Calls block: the caller has a thread for them. The library's own retries are off: they would
//! last for minutes although the caller counts on a bound. A client that has failed, or that has
//! not been used for a while, is thrown away. Its connection may be dead without anybody noticing,
//! and its token may be an old one: the library reads the file once a minute, and a server refuses
//! an old token at once.

use std::io;
use std::time::{Duration, SystemTime};

use k8s_openapi::api::coordination::v1::Lease;
use kube::client::{AuthError, Body, ClientBuilder};
use kube::config::KubeConfigOptions;
use kube::core::Request;
use kube::core::params::{DeleteParams, GetParams, PostParams, Preconditions};
use kube::{Client, Config, Resource as _};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tracing::subscriber::{NoSubscriber, with_default};

use super::clock::Stamp;
use super::record::Record;
use crate::time::{from_http_date, since_boot};

/// The idle time after which a connection is not used again.
const FRESH: Duration = Duration::from_secs(30);

/// How the API server is found, and with which identity it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiAccess {
    /// By the pod's environment and its service account.
    InCluster,
    /// By `KUBECONFIG` or `~/.kube/config`.
    Kubeconfig,
}

/// The API of one Lease.
pub(super) struct Api {
    runtime: Runtime,
    request: Request,
    name: String,
    connection: Connection,
    used: Duration,
}

/// The client, and how it is made.
struct Connection {
    access: ApiAccess,
    /// The bound for each of the two steps of a call: to connect, and to get an answer.
    limit: Duration,
    client: Option<Client>,
    /// The credential plugin: a program that the kubeconfig names to prove our identity.
    plugin: Option<String>,
    /// An attempt to connect that has not ended yet. The library waits for the plugin without a
    /// bound, but the caller has one. The next call continues to wait and does not start a second
    /// plugin.
    connecting: Option<JoinHandle<Result<Client, CallError>>>,
}

/// An answer, and the times of the call.
#[derive(Clone, Debug)]
pub(super) struct Answer<T> {
    pub value: T,
    pub stamp: Stamp,
}

/// The reason why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    /// No API server can be called: there is no configuration, or a wrong one.
    #[error("{0}")]
    Configuration(String),
    /// There was no answer that could be used. It is not known whether the call was carried out.
    #[error("{0}")]
    NoAnswer(String),
    /// Status 401.
    #[error("the API server does not know us: {0}")]
    Unauthorized(String),
    /// Status 403.
    #[error("{0}")]
    Forbidden(String),
    /// Status 404: there is no such Lease, or no such namespace.
    #[error("{0}")]
    NotFound(String),
    /// Status 409: there is another version than the one that was sent, or one although none should
    /// be there.
    #[error("{0}")]
    Conflict(String),
    /// Any other status that another call would not change.
    #[error("the API server refuses ({0}): {1}")]
    Refused(u16, String),
}

type Called<T> = Result<Answer<T>, CallError>;

impl Api {
    /// The API of this Lease. `limit` bounds each of the two steps of a call. No call is made yet.
    pub(super) fn new(
        access: ApiAccess,
        namespace: &str,
        name: &str,
        limit: Duration,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let request = Request::new(Lease::url_path(&(), Some(namespace)));
        let connection = Connection { access, limit, client: None, plugin: None, connecting: None };
        Ok(Self { runtime, request, name: name.to_owned(), connection, used: Duration::ZERO })
    }

    /// Reads the Lease. `None` if there is none.
    pub(super) fn get(&mut self) -> Called<Option<Record>> {
        let request = self.request.get(&self.name, &GetParams::default());
        match self.call(request, since_boot()) {
            // If it is the namespace that is missing, creating the Lease will tell.
            Ok((Answer { stamp, .. }, 404)) => Ok(Answer { value: None, stamp }),
            Ok((answer, status)) => stored(answer, status)
                .map(|Answer { value, stamp }| Answer { value: Some(value), stamp }),
            Err(error) => Err(error),
        }
    }

    /// Creates the Lease. `Conflict` if there is one.
    ///
    /// `dated` is the time since boot when the object was dated. Validity counts from then and not
    /// from when the object is sent: a process that is stopped in between would take the Lease for
    /// valid while the others take it for stale.
    pub(super) fn create(&mut self, object: &Value, dated: Duration) -> Called<Record> {
        let request = self.request.create(&PostParams::default(), object.to_string().into_bytes());
        self.call(request, dated).and_then(|(answer, status)| stored(answer, status))
    }

    /// Replaces the version that the object was read from. `Conflict` if there is another one by
    /// now. `dated`: see `create`.
    pub(super) fn replace(&mut self, object: &Value, dated: Duration) -> Called<Record> {
        let request = self.request.replace(
            &self.name,
            &PostParams::default(),
            object.to_string().into_bytes(),
        );
        self.call(request, dated).and_then(|(answer, status)| stored(answer, status))
    }

    /// Deletes this version and no other. `Conflict` if there is another one by now.
    pub(super) fn delete(&mut self, version: &Record) -> Called<()> {
        let preconditions = Preconditions {
            uid: Some(version.uid.clone()),
            resource_version: Some(version.version.clone()),
        };
        let request =
            self.request.delete(&self.name, &DeleteParams::default().preconditions(preconditions));
        let (Answer { value, stamp }, status) = self.call(request, since_boot())?;
        refusal(&value, status).map_or(Ok(Answer { value: (), stamp }), Err)
    }

    /// Ends the runtime without waiting for what still runs in it, such as a plugin. Has to be
    /// called at the end.
    pub(super) fn finish(self) {
        self.runtime.shutdown_background();
    }

    fn call<E: std::error::Error>(
        &mut self,
        request: Result<http::Request<Vec<u8>>, E>,
        sent: Duration,
    ) -> Result<(Answer<Value>, u16), CallError> {
        let request = request.map_err(|error| CallError::Configuration(chain(&error)))?;
        if since_boot().saturating_sub(self.used) > FRESH {
            self.connection.client = None;
        }
        let (runtime, connection) = (&self.runtime, &mut self.connection);
        // What the library logs meanwhile is dropped. What matters of it is told in our own words.
        let answered = with_default(NoSubscriber::new(), || {
            runtime.block_on(async { connection.send(request).await })
        });
        let received = since_boot();
        self.used = received;
        if !matches!(answered, Ok((_, status, _)) if status != 401 && status < 500) {
            self.connection.client = None;
        }
        let (date, status, value) = answered?;
        Ok((Answer { value, stamp: Stamp { sent, received, date } }, status))
    }
}

/// Date, status and body of an answer.
type Received = (Option<SystemTime>, u16, Value);

impl Connection {
    async fn send(&mut self, request: http::Request<Vec<u8>>) -> Result<Received, CallError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => {
                timeout(self.limit, self.connect()).await.unwrap_or_else(|_| Err(self.silence()))?
            }
        };
        let client = self.client.insert(client);
        let answered =
            async { receive(client.send(request.map(Body::from)).await.map_err(no_answer)?).await };
        timeout(self.limit, answered).await.unwrap_or_else(|_| Err(self.silence()))
    }

    /// Makes a client. It opens its connections when they are needed.
    async fn connect(&mut self) -> Result<Client, CallError> {
        let connecting = match &mut self.connecting {
            Some(connecting) => connecting,
            None => {
                let config = load(self.access, self.limit).await?;
                self.plugin =
                    config.auth_info.exec.as_ref().and_then(|plugin| plugin.command.clone());
                let build = || ClientBuilder::try_from(config).map(ClientBuilder::build);
                let build = || with_default(NoSubscriber::new(), build);
                let build = || build().map_err(|error| unusable("what it says", &error));
                self.connecting.insert(spawn_blocking(build))
            }
        };
        let connected = connecting.await;
        self.connecting = None;
        connected.unwrap_or_else(|error| {
            Err(CallError::Configuration(format!("internal error: {error}")))
        })
    }

    /// The error that names who has not answered in time.
    fn silence(&self) -> CallError {
        let limit = format!("within {:.1} s", self.limit.as_secs_f64());
        CallError::NoAnswer(match &self.plugin {
            Some(plugin) if self.client.is_none() => {
                format!(
                    "the credential plugin {plugin}, which the kubeconfig names, has not answered {limit}"
                )
            }
            Some(plugin) => {
                format!(
                    "no answer {limit}, from the API server or from the credential plugin {plugin}"
                )
            }
            None => format!("no answer {limit}"),
        })
    }
}

async fn receive(answer: http::Response<Body>) -> Result<Received, CallError> {
    let date =
        answer.headers().get("date").and_then(|date| date.to_str().ok()).and_then(from_http_date);
    let status = answer.status().as_u16();
    let body = answer.into_body().collect_bytes().await.map_err(no_answer)?;
    // A body that is not JSON, such as a proxy's page, is shown in the error.
    let value = serde_json::from_slice(&body).unwrap_or_else(|_| {
        Value::String(String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned())
    });
    Ok((date, status, value))
}

async fn load(access: ApiAccess, limit: Duration) -> Result<Config, CallError> {
    let config = match access {
        ApiAccess::InCluster => {
            Config::incluster().map_err(|error| unusable("this pod's service account", &error))
        }
        ApiAccess::Kubeconfig => Config::from_kubeconfig(&KubeConfigOptions::default())
            .await
            .map_err(|error| unusable("the kubeconfig (KUBECONFIG, else ~/.kube/config)", &error)),
    };
    let mut config = config?;
    if let Some(proxy) = config.proxy_url.as_ref().and_then(http::Uri::host) {
        return Err(CallError::Configuration(format!(
            "the API server is to be asked through the proxy {proxy}, which ha-sync cannot. Unset HTTPS_PROXY and https_proxy \
             for it (`env -u HTTPS_PROXY -u https_proxy ha-sync …`), or take proxy-url out of the kubeconfig"
        )));
    }
    config.default_retry = false;
    config.connect_timeout = Some(limit);
    config.read_timeout = Some(limit);
    config.write_timeout = Some(limit);
    config.reset_reader_on_write = true;
    Ok(config)
}

fn unusable(what: &str, error: &dyn std::error::Error) -> CallError {
    CallError::Configuration(format!("{what} cannot be used: {}", chain(error)))
}

fn no_answer(error: kube::Error) -> CallError {
    match error {
        kube::Error::Auth(error) => unusable("our way to prove who we are", &error),
        kube::Error::Service(error) if error.is::<AuthError>() => unusable(
            "our way to prove who we are (a token file must not end in a newline)",
            &*error,
        ),
        error => CallError::NoAnswer(chain(&error)),
    }
}

/// The messages of an error and of its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

fn stored(Answer { value, stamp }: Answer<Value>, status: u16) -> Called<Record> {
    if let Some(refusal) = refusal(&value, status) {
        return Err(refusal);
    }
    match Record::read(value) {
        Some(value) => Ok(Answer { value, stamp }),
        None => Err(CallError::NoAnswer("the API server's answer is not a Lease".into())),
    }
}

/// The error that a status means. `None` if the call was carried out.
fn refusal(value: &Value, status: u16) -> Option<CallError> {
    let said =
        value["message"].as_str().or(value.as_str()).unwrap_or("it does not say why").to_owned();
    Some(match status {
        200..300 => return None,
        401 => CallError::Unauthorized(said),
        403 => CallError::Forbidden(said),
        404 => CallError::NotFound(said),
        409 => CallError::Conflict(said),
        // The server is overloaded, starting or stopping.
        429 | 500.. => CallError::NoAnswer(format!("the API server answers {status}: {said}")),
        _ => CallError::Refused(status, said),
    })
}
