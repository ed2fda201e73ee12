//! The demo's origins: real HTTP and echo servers on loopback, one per endpoint, a region at a
//! time. Each says who it is. Killing a region closes its listeners and every open connection,
//! as a power cut would.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use meridian_topology::{RegionIdx, Topology};
use tokio::io::copy;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What one origin serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http,
    Echo,
}

#[derive(Debug)]
struct Origin {
    endpoint: String,
    region: String,
    address: SocketAddr,
    protocol: Protocol,
}

/// The origins of every region.
#[derive(Debug)]
pub struct Origins {
    regions: BTreeMap<String, Vec<Arc<Origin>>>,
    running: BTreeMap<String, (CancellationToken, TaskTracker)>,
}

impl Origins {
    /// Starts a server for every endpoint of `topology`.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub async fn start(topology: &Topology) -> std::io::Result<Self> {
        let mut regions: BTreeMap<String, Vec<Arc<Origin>>> = BTreeMap::new();
        for endpoint in &topology.endpoints {
            let region = region_id(topology, endpoint.region);
            let is_http = endpoint
                .services
                .iter()
                .any(|service| !topology.services[service.index()].http.is_empty());
            regions
                .entry(region.clone())
                .or_default()
                .push(Arc::new(Origin {
                    endpoint: endpoint.id.to_string(),
                    region,
                    address: SocketAddr::new(endpoint.address, endpoint.port),
                    protocol: if is_http {
                        Protocol::Http
                    } else {
                        Protocol::Echo
                    },
                }));
        }
        let mut origins = Self {
            running: BTreeMap::new(),
            regions,
        };
        for region in origins.regions.keys().cloned().collect::<Vec<_>>() {
            origins.restore(&region).await?;
        }
        Ok(origins)
    }

    /// Starts the servers of `region`, if they do not run.
    pub async fn restore(&mut self, region: &str) -> std::io::Result<()> {
        if self.running.contains_key(region) {
            return Ok(());
        }
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        for origin in self.regions.get(region).into_iter().flatten() {
            let listener = TcpListener::bind(origin.address).await.map_err(|error| {
                std::io::Error::new(
                    error.kind(),
                    format!("{} for {}: {error}", origin.address, origin.endpoint),
                )
            })?;
            tasks.spawn(accept(
                listener,
                Arc::clone(origin),
                stop.clone(),
                tasks.clone(),
            ));
        }
        self.running.insert(region.to_owned(), (stop, tasks));
        Ok(())
    }

    /// Closes every listener and connection of `region` at once.
    pub async fn kill(&mut self, region: &str) {
        if let Some((stop, tasks)) = self.running.remove(region) {
            stop.cancel();
            tasks.close();
            tasks.wait().await;
        }
    }
}

impl Origins {
    /// Stops every server.
    pub async fn stop(&mut self) {
        for region in self.running.keys().cloned().collect::<Vec<_>>() {
            self.kill(&region).await;
        }
    }
}

/// The id of the region at `index`.
fn region_id(topology: &Topology, index: RegionIdx) -> String {
    topology.regions[index.index()].id.to_string()
}

async fn accept(
    listener: TcpListener,
    origin: Arc<Origin>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = stream else { continue };
        let (origin, stop) = (Arc::clone(&origin), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = serve(stream, origin) => {}
            }
        });
    }
}

async fn serve(mut stream: TcpStream, origin: Arc<Origin>) {
    match origin.protocol {
        Protocol::Http => {
            let service = service_fn(move |request| answer(Arc::clone(&origin), request));
            // A client that goes away mid-request is no fault of the demo's.
            let _closed = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
        Protocol::Echo => {
            let (mut reader, mut writer) = stream.split();
            let _closed = copy(&mut reader, &mut writer).await;
        }
    }
}

async fn answer(
    origin: Arc<Origin>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let host = request
        .headers()
        .get("host")
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let body = serde_json::json!({
        "endpoint": origin.endpoint,
        "region": origin.region,
        "host": host,
        "path": request.uri().path(),
        "client": request.headers().get("x-forwarded-for").and_then(|value| value.to_str().ok()),
    });
    let response = Response::builder()
        .header("content-type", "application/json")
        .header("x-origin-endpoint", &origin.endpoint)
        .header("x-origin-region", &origin.region);
    // Ids come from a validated topology and are valid header values; a plain answer stands in otherwise.
    Ok(response
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap_or_default())
}
