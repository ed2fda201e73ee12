#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

use super::*;

fn table(routes: &[(&str, &str, &[Method])]) -> RouteTable {
    RouteTable::build(
        routes
            .iter()
            .enumerate()
            .map(|(route, (host, prefix, methods))| {
                let pattern = Pattern {
                    host: (*host).to_owned(),
                    path_prefix: (*prefix).to_owned(),
                    is_exact: false,
                    methods: methods.to_vec(),
                    conditions: 0,
                };
                (pattern, route)
            }),
    )
}

#[test]
fn host_then_path_then_method() {
    use Lookup::{Found, MethodNotAllowed, UnknownHost, UnknownPath};
    let routes = table(&[
        ("shop.example.com", "/", &[]),                        // 0
        ("shop.example.com", "/api", &[]),                     // 1
        ("shop.example.com", "/api/v1/", &[]),                 // 2
        ("shop.example.com", "/rpc", &[Method::POST]),         // 3
        ("*.example.com", "/", &[]),                           // 4
        ("*.eu.example.com", "/", &[]),                        // 5
        ("only.example.com", "/a/b", &[]),                     // 6
        ("shop.example.com", "/rpc", &[]),                     // 7
        ("m.example.com", "/x", &[Method::PUT, Method::POST]), // 8
        ("m.example.com", "/x/y", &[Method::GET]),             // 9
        ("[2001:db8::1]", "/", &[]),                           // 10
    ]);
    let cases: &[(&str, &str, Method, Lookup)] = &[
        ("shop.example.com", "/", Method::GET, Found(0)),
        ("SHOP.Example.COM", "/x", Method::GET, Found(0)),
        ("shop.example.com", "/api", Method::GET, Found(1)),
        ("shop.example.com", "/api/", Method::GET, Found(1)),
        ("shop.example.com", "/apis", Method::GET, Found(0)),
        ("shop.example.com", "/api/v1", Method::GET, Found(2)),
        ("shop.example.com", "/api/v1/items/1", Method::GET, Found(2)),
        ("shop.example.com", "/api/v12", Method::GET, Found(1)),
        ("shop.example.com", "/rpc/call", Method::POST, Found(3)),
        ("shop.example.com", "/rpc/call", Method::GET, Found(7)),
        ("shop.example.com", "*", Method::OPTIONS, Found(0)),
        ("a.example.com", "/", Method::GET, Found(4)),
        ("a.b.example.com", "/", Method::GET, Found(4)),
        ("a.eu.example.com", "/", Method::GET, Found(5)),
        ("eu.example.com", "/", Method::GET, Found(4)),
        ("example.com", "/", Method::GET, UnknownHost),
        ("badexample.com", "/", Method::GET, UnknownHost),
        ("only.example.com", "/a", Method::GET, UnknownPath),
        ("only.example.com", "/a/b", Method::GET, Found(6)),
        ("only.example.com", "/a/bb", Method::GET, UnknownPath),
        ("m.example.com", "/x/y", Method::GET, Found(9)),
        ("m.example.com", "/x/y", Method::PUT, Found(8)),
        ("m.example.com", "/x/y", Method::DELETE, MethodNotAllowed),
        ("[2001:DB8::1]", "/", Method::GET, Found(10)),
        ("", "/", Method::GET, UnknownHost),
    ];
    for (host, path, method, expected) in cases {
        let found = routes.find(host.as_bytes(), path.as_bytes(), method, |_| true);
        assert_eq!(found, *expected, "{method} {host}{path}");
    }
}

#[test]
fn the_methods_of_a_path_are_those_of_all_its_prefixes() {
    let routes = table(&[
        ("m.example", "/x", &[Method::PUT, Method::POST]),
        ("m.example", "/x/y", &[Method::GET, Method::POST]),
        ("m.example", "/z", &[]),
    ]);
    let cases: &[(&str, &str, &[Method])] = &[
        (
            "m.example",
            "/x/y/1",
            &[Method::GET, Method::POST, Method::PUT],
        ),
        ("M.example", "/x", &[Method::PUT, Method::POST]),
        ("m.example", "/z", &[]),
        ("m.example", "/", &[]),
        ("other.example", "/x", &[]),
    ];
    for (host, path, expected) in cases {
        let methods = routes.methods(host.as_bytes(), path.as_bytes());
        assert_eq!(methods, *expected, "{host}{path}");
    }
}

#[test]
fn any_host_comes_last() {
    let routes = table(&[("*", "/", &[]), ("a.example", "/only", &[])]);
    assert_eq!(
        routes.find(b"x.example", b"/", &Method::GET, |_| true),
        Lookup::Found(0)
    );
    // The exact host owns its paths, even those it has no route for.
    assert_eq!(
        routes.find(b"a.example", b"/", &Method::GET, |_| true),
        Lookup::UnknownPath
    );
}

#[test]
fn a_host_too_long_is_unknown() {
    let routes = table(&[("*", "/", &[])]);
    let long = vec![b'a'; HOST_BYTES_MAX + 1];
    assert_eq!(
        routes.find(&long, b"/", &Method::GET, |_| true),
        Lookup::UnknownHost
    );
}

#[test]
fn slashes_cost_no_more_than_the_longest_prefix() {
    let routes = table(&[("a.example", "/api/v1", &[])]);
    let slashes = vec![b'/'; 1 << 20];
    for _ in 0..1000 {
        assert_eq!(
            routes.find(b"a.example", &slashes, &Method::GET, |_| true),
            Lookup::UnknownPath
        );
    }
}

#[test]
fn what_asks_for_more_comes_first() {
    let pattern = |path: &str, is_exact, conditions| Pattern {
        host: "*".to_owned(),
        path_prefix: path.to_owned(),
        is_exact,
        methods: Vec::new(),
        conditions,
    };
    let routes = RouteTable::build([
        (pattern("/", false, 0), 0),
        (pattern("/", false, 1), 1),
        (pattern("/", false, 2), 2),
        (pattern("/a", true, 0), 3),
        (pattern("/a/", true, 0), 4),
        (pattern("/b", true, 1), 5),
    ]);
    let find = |path: &str, met: &[usize]| {
        routes.find(b"x", path.as_bytes(), &Method::GET, |route| {
            met.contains(&route)
        })
    };
    assert_eq!(find("/", &[]), Lookup::Found(0));
    assert_eq!(find("/", &[1]), Lookup::Found(1));
    assert_eq!(find("/x", &[1, 2]), Lookup::Found(2));
    assert_eq!(find("/a", &[1, 2]), Lookup::Found(3));
    assert_eq!(find("/a/", &[]), Lookup::Found(4));
    assert_eq!(find("/a/b", &[]), Lookup::Found(0));
    assert_eq!(find("/b", &[5]), Lookup::Found(5));
    assert_eq!(find("/b", &[]), Lookup::Found(0));
}
