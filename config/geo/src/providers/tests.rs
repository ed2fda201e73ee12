#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use super::*;
use crate::tests::list;

fn ranges(name: &str, content: &str) -> Vec<(String, String, Option<String>)> {
    let (_keep, path) = list(name, content);
    let ranges = read(&path).unwrap();
    let text = |range: ProviderRange| {
        let provider = range.provider.as_str().to_owned();
        (range.net.to_string(), provider, range.region)
    };
    ranges.into_iter().map(text).collect()
}

fn range(net: &str, provider: &str, region: Option<&str>) -> (String, String, Option<String>) {
    (
        net.to_owned(),
        provider.to_owned(),
        region.map(str::to_owned),
    )
}

#[test]
fn every_shape_is_read() {
    let lines = "cidr,provider,region\n# ours\n192.0.2.0/24,own,\n198.51.100.7,aws,eu-west-1\n2001:db8::/32,gcp\n";
    assert_eq!(
        ranges("list.csv", lines),
        [
            range("192.0.2.0/24", "own", None),
            range("198.51.100.7/32", "aws", Some("eu-west-1")),
            range("2001:db8::/32", "gcp", None),
        ]
    );
    // Shortened from https://ip-ranges.amazonaws.com/ip-ranges.json.
    let aws = r#"{
      "syncToken": "1699999999", "createDate": "2023-11-14-22-13-19",
      "prefixes": [
        {"ip_prefix": "3.2.34.0/26", "region": "af-south-1", "service": "AMAZON", "network_border_group": "af-south-1"},
        {"ip_prefix": "13.32.0.0/15", "region": "GLOBAL", "service": "CLOUDFRONT", "network_border_group": "GLOBAL"}],
      "ipv6_prefixes": [
        {"ipv6_prefix": "2600:1f14::/35", "region": "us-west-2", "service": "EC2", "network_border_group": "us-west-2"}]}"#;
    assert_eq!(
        ranges("ip-ranges.json", aws),
        [
            range("3.2.34.0/26", "aws", Some("af-south-1")),
            range("13.32.0.0/15", "aws", None),
            range("2600:1f14::/35", "aws", Some("us-west-2")),
        ]
    );
    // Shortened from https://www.gstatic.com/ipranges/cloud.json.
    let google = r#"{
      "syncToken": "1699999999", "creationTime": "2023-11-14T09:23:25.21",
      "prefixes": [
        {"ipv4Prefix": "34.1.208.0/20", "service": "Google Cloud", "scope": "africa-south1"},
        {"ipv6Prefix": "2600:1900:8000::/44", "service": "Google Cloud", "scope": "global"}]}"#;
    assert_eq!(
        ranges("cloud.json", google),
        [
            range("34.1.208.0/20", "gcp", Some("africa-south1")),
            range("2600:1900:8000::/44", "gcp", None),
        ]
    );
    // Shortened from ServiceTags_Public_20231113.json.
    let azure = r#"{
      "changeNumber": 286, "cloud": "Public",
      "values": [
        {"name": "AzureCloud.westeurope", "id": "AzureCloud.westeurope",
         "properties": {"changeNumber": 90, "region": "westeurope", "regionId": 18, "platform": "Azure", "systemService": "",
                        "addressPrefixes": ["4.175.0.0/16", "2603:1020:200::/46"], "networkFeatures": null}},
        {"name": "ActionGroup", "id": "ActionGroup",
         "properties": {"changeNumber": 43, "region": "", "regionId": 0, "platform": "Azure", "systemService": "ActionGroup",
                        "addressPrefixes": ["4.175.0.0/16"], "networkFeatures": ["API", "NSG"]}}]}"#;
    assert_eq!(
        ranges("tags.json", azure),
        [
            range("4.175.0.0/16", "azure", Some("westeurope")),
            range("2603:1020:200::/46", "azure", Some("westeurope")),
            range("4.175.0.0/16", "azure", None),
        ]
    );
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (content, want) in [
        (
            "192.0.2.0/24,aws\n192.0.2.0/40,aws\n",
            "line 2: `192.0.2.0/40` is no prefix",
        ),
        ("192.0.2.0/24\n", "line 1: `` is no provider"),
        (
            "192.0.2.0/24,Amazon Web\n",
            "line 1: `Amazon Web` is no provider",
        ),
        (r#"{"prefixes": []}"#, "neither AWS's"),
        (r#"{"prefixes": [{"ip_prefix": "x"}]}"#, "`x` is no prefix"),
        (r#"{"prefixes": 7}"#, "line 1"),
    ] {
        let (_keep, path) = list("list", content);
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}

/// Of two equal prefixes the one that knows the region counts, wherever it stands.
#[test]
fn a_region_of_ours_is_where_its_clients_are() {
    let text = "regions:
  - id: eu
    location: { region: westeurope, country: NL, latitude: 52.4, longitude: 4.9, provider: azure }
";
    let topology =
        Topology::parse(&[meridian_topology::SourceFile::new("topology.yaml", text)]).unwrap();
    let azure = |net: &str, region: Option<&str>| ProviderRange {
        net: net.parse().unwrap(),
        provider: "azure".parse().unwrap(),
        region: region.map(str::to_owned),
    };
    let mut builder = ClassTableBuilder::new();
    let ranges = vec![
        azure("4.175.0.0/16", Some("westeurope")),
        azure("4.175.0.0/16", None),
        azure("4.176.0.0/16", Some("eastus")),
    ];
    lay(&mut builder, &topology, ranges);
    let table = builder.build().unwrap();
    let class = |address: &str| table.class(table.lookup(address.parse().unwrap()).class);
    let here = class("4.175.1.1");
    assert_eq!(here.region.as_ref().unwrap().as_str(), "eu");
    assert_eq!(here.country.unwrap().as_str(), "NL");
    let elsewhere = class("4.176.1.1");
    assert_eq!(elsewhere.provider.as_ref().unwrap().as_str(), "azure");
    assert_eq!((elsewhere.region.as_ref(), elsewhere.country), (None, None));
}
