//! The command line's end of the admin API, over the Unix socket or TCP.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use meridian_admin::token::Token;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::failure::Failure;

/// Where a running node is reached.
#[derive(Debug, Clone, clap::Args)]
pub struct NodeArgs {
    /// Deployment directory of the node: its admin socket is used.
    #[arg(long, short = 'C', env = "MERIDIAN_DIR", default_value = ".")]
    #[arg(hide_env_values = true, global = true, help_heading = WHICH_NODE)]
    pub dir: PathBuf,
    /// Admin API instead of the socket, as HOST:PORT.
    #[arg(long, env = "MERIDIAN_ADMIN")]
    #[arg(hide_env_values = true, global = true, help_heading = WHICH_NODE)]
    pub admin: Option<String>,
    /// File with the bearer token, for changes over TCP.
    #[arg(long, env = "MERIDIAN_TOKEN_FILE")]
    #[arg(hide_env_values = true, global = true, help_heading = WHICH_NODE)]
    pub token_file: Option<PathBuf>,
}

/// Where these options stand in the help of every command.
const WHICH_NODE: &str = "Which node";

/// Answers of the API are at most this large, in bytes.
const BODY_BYTES_MAX: usize = 256 << 20;
/// A node that does not answer within this time is not well.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a node's admin API, made anew for each request.
#[derive(Debug, Clone)]
pub struct Admin {
    address: Address,
    token: Option<Token>,
}

#[derive(Debug, Clone)]
enum Address {
    Tcp(String),
    Unix(PathBuf),
}

impl Admin {
    /// The node that `args` names: `--admin`, else the socket of `--dir`, else its TCP address.
    pub fn find(args: &NodeArgs) -> Result<Self, Failure> {
        let named = args.token_file.as_deref().map(token).transpose()?;
        if let Some(address) = &args.admin {
            return Ok(Self {
                address: Address::Tcp(address.clone()),
                token: named,
            });
        }
        let admin = crate::config::Deployment::read(&args.dir)?.node.admin;
        if let Some(path) = admin.socket.filter(|path| path.exists()) {
            return Ok(Self {
                address: Address::Unix(path),
                token: named,
            });
        }
        // Reading needs no token: a file that another user keeps to itself is no failure here.
        let own = admin.token_file.and_then(|path| Token::load(&path).ok());
        Ok(Self {
            address: Address::Tcp(admin.listen.to_string()),
            token: named.or(own),
        })
    }

    /// Whether anybody listens there.
    pub async fn is_there(&self) -> bool {
        match &self.address {
            Address::Tcp(address) => TcpStream::connect(address).await.is_ok(),
            Address::Unix(socket) => UnixStream::connect(socket).await.is_ok(),
        }
    }

    /// Reads `path`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let body = self.send(Method::GET, path, Bytes::new()).await?;
        serde_json::from_slice(&body).map_err(Failure::from)
    }

    /// Changes `path`; the answer's body.
    pub async fn change(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Bytes, Failure> {
        self.send(method, path, serde_json::to_vec(body)?.into())
            .await
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Failure> {
        let exchange = async {
            match &self.address {
                Address::Tcp(address) => {
                    let stream = TcpStream::connect(address)
                        .await
                        .map_err(|error| self.unreachable(&error))?;
                    self.exchange(stream, address, method, path, body).await
                }
                Address::Unix(socket) => {
                    let stream = UnixStream::connect(socket)
                        .await
                        .map_err(|error| self.unreachable(&error))?;
                    self.exchange(stream, "localhost", method, path, body).await
                }
            }
        };
        let timeout = || Failure::other(format!("the node did not answer within {PATIENCE:?}"));
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .map_err(|_| timeout())?
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        host: &str,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", host);
        if let Some(token) = &self.token {
            request = request.header("authorization", token.header());
        }
        let request = request
            .header("content-type", "application/json")
            .body(Full::new(body))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX)
            .collect()
            .await
            .map_err(Failure::other)?
            .to_bytes();
        connection.abort();
        if status.is_success() {
            Ok(body)
        } else {
            Err(refused(status, &body))
        }
    }

    fn unreachable(&self, error: &std::io::Error) -> Failure {
        let place = match &self.address {
            Address::Tcp(address) => address.clone(),
            Address::Unix(path) => path.display().to_string(),
        };
        Failure::other(format!(
            "no node answers at {place}: {error}; start one with `meridian serve`, or name it by --dir or --admin"
        ))
    }
}

fn token(path: &Path) -> Result<Token, Failure> {
    Token::load(path).map_err(Failure::at(path))
}

/// The API's own sentence when it gave one.
fn refused(status: StatusCode, body: &[u8]) -> Failure {
    let sentence = serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|error| error.get("message")?.as_str().map(String::from))
        .unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    Failure::other(format!("the node refused ({status}): {sentence}"))
}
