//! Reading the protobuf bodies that newer kubectl sends when it creates what it knows the type of.
//!
//! What must stay true: nothing is lost in silence. A message with a field that is not in the table
//! and not empty is refused as a media type the server does not read, so that a create either means
//! what the client meant or fails. Answers are JSON, which every client that sends protobuf accepts.
//!
//! Refused: generated code for all of Kubernetes' messages. The kinds below are those that have a
//! `kubectl create` command.

use k8s_openapi::ByteString;
use serde_json::{Map, Value, json};

use super::access::messages;
use super::object;
use super::resource::BODIES;
use super::status::{Failure, Outcome};

/// The media type of the envelope.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Type {
    Text,
    /// A number or truth value that is absent when zero.
    Number,
    Flag,
    /// The same, where zero says something.
    SetNumber,
    SetFlag,
    Texts,
    Map,
    BytesMap,
    IntOrString,
    /// Set by the server, whatever the client says.
    Ignored,
    One(&'static [Field]),
    Many(&'static [Field]),
}

/// Number, name and content of a field.
pub(crate) type Field = (u64, &'static str, Type);

use Type::{
    BytesMap, Flag, Ignored, IntOrString as Either, Many, Map as TextMap, Number, One, SetFlag, SetNumber, Text, Texts,
};

pub(crate) const META: &[Field] = &[
    (1, "name", Text),
    (2, "generateName", Text),
    (3, "namespace", Text),
    (4, "selfLink", Text),
    (5, "uid", Text),
    (6, "resourceVersion", Text),
    (7, "generation", Ignored),
    (8, "creationTimestamp", Ignored),
    (11, "labels", TextMap),
    (12, "annotations", TextMap),
    (13, "ownerReferences", Many(OWNER)),
    (14, "finalizers", Texts),
    (17, "managedFields", Ignored),
];
const OWNER: &[Field] = &[
    (1, "kind", Text),
    (3, "name", Text),
    (4, "uid", Text),
    (5, "apiVersion", Text),
    (6, "controller", SetFlag),
    (7, "blockOwnerDeletion", SetFlag),
];
const NAMED: &[Field] = &[(1, "name", Text)];
const NAMESPACE: &[Field] = &[
    (1, "metadata", One(META)),
    (2, "spec", One(&[(1, "finalizers", Texts)])),
    (3, "status", Ignored),
];
const CONFIG_MAP: &[Field] = &[
    (1, "metadata", One(META)),
    (2, "data", TextMap),
    (3, "binaryData", BytesMap),
    (4, "immutable", SetFlag),
];
const SECRET: &[Field] = &[
    (1, "metadata", One(META)),
    (2, "data", BytesMap),
    (3, "type", Text),
    (4, "stringData", TextMap),
    (5, "immutable", SetFlag),
];
const SERVICE_ACCOUNT: &[Field] = &[
    (1, "metadata", One(META)),
    (3, "imagePullSecrets", Many(NAMED)),
    (4, "automountServiceAccountToken", SetFlag),
];
const SERVICE: &[Field] = &[
    (1, "metadata", One(META)),
    (2, "spec", One(SERVICE_SPEC)),
    (3, "status", Ignored),
];
const SERVICE_SPEC: &[Field] = &[
    (1, "ports", Many(SERVICE_PORT)),
    (2, "selector", TextMap),
    (3, "clusterIP", Text),
    (4, "type", Text),
    (5, "externalIPs", Texts),
    (7, "sessionAffinity", Text),
    (8, "loadBalancerIP", Text),
    (9, "loadBalancerSourceRanges", Texts),
    (10, "externalName", Text),
    (11, "externalTrafficPolicy", Text),
    (12, "healthCheckNodePort", Number),
    (13, "publishNotReadyAddresses", Flag),
    (17, "ipFamilyPolicy", Text),
    (18, "clusterIPs", Texts),
    (19, "ipFamilies", Texts),
    (20, "allocateLoadBalancerNodePorts", SetFlag),
    (21, "loadBalancerClass", Text),
    (22, "internalTrafficPolicy", Text),
];
const SERVICE_PORT: &[Field] = &[
    (1, "name", Text),
    (2, "protocol", Text),
    (3, "port", Number),
    (4, "targetPort", Either),
    (5, "nodePort", Number),
    (6, "appProtocol", Text),
];
const DEPLOYMENT: &[Field] = &[
    (1, "metadata", One(META)),
    (2, "spec", One(DEPLOYMENT_SPEC)),
    (3, "status", Ignored),
];
const DEPLOYMENT_SPEC: &[Field] = &[
    (1, "replicas", SetNumber),
    (2, "selector", One(SELECTOR)),
    (
        3,
        "template",
        One(&[(1, "metadata", One(META)), (2, "spec", One(POD_SPEC))]),
    ),
    (4, "strategy", One(&[(1, "type", Text)])),
    (5, "minReadySeconds", Number),
    (6, "revisionHistoryLimit", SetNumber),
    (7, "paused", Flag),
    (9, "progressDeadlineSeconds", SetNumber),
];
pub(crate) const SELECTOR: &[Field] = &[(1, "matchLabels", TextMap)];
const POD: &[Field] = &[
    (1, "metadata", One(META)),
    (2, "spec", One(POD_SPEC)),
    (3, "status", Ignored),
];
const POD_SPEC: &[Field] = &[
    (2, "containers", Many(CONTAINER)),
    (3, "restartPolicy", Text),
    (4, "terminationGracePeriodSeconds", SetNumber),
    (6, "dnsPolicy", Text),
    (7, "nodeSelector", TextMap),
    (8, "serviceAccountName", Text),
    (9, "serviceAccount", Text),
    (10, "nodeName", Text),
];
const CONTAINER: &[Field] = &[
    (1, "name", Text),
    (2, "image", Text),
    (3, "command", Texts),
    (4, "args", Texts),
    (5, "workingDir", Text),
    (6, "ports", Many(CONTAINER_PORT)),
    (7, "env", Many(&[(1, "name", Text), (2, "value", Text)])),
    (14, "imagePullPolicy", Text),
];
const EITHER: &[Field] = &[(1, "type", SetNumber), (2, "number", SetNumber), (3, "text", Text)];
const CONTAINER_PORT: &[Field] = &[
    (1, "name", Text),
    (2, "hostPort", Number),
    (3, "containerPort", Number),
    (4, "protocol", Text),
    (5, "hostIP", Text),
];

fn message_of(api_version: &str, kind: &str) -> Option<&'static [Field]> {
    Some(match (api_version, kind) {
        ("v1", "Namespace") => NAMESPACE,
        ("v1", "ConfigMap") => CONFIG_MAP,
        ("v1", "Secret") => SECRET,
        ("v1", "ServiceAccount") => SERVICE_ACCOUNT,
        ("v1", "Service") => SERVICE,
        ("v1", "Pod") => POD,
        ("apps/v1", "Deployment") => DEPLOYMENT,
        _ => return messages::message_of(api_version, kind),
    })
}

/// Reads an object in its envelope.
pub(crate) fn parse(body: &[u8]) -> Outcome<Value> {
    let malformed = || Failure::bad_request("the object provided is unrecognized: malformed protobuf");
    let envelope = body.strip_prefix(b"k8s\0").ok_or_else(malformed)?;
    let envelope = parts(envelope).ok_or_else(malformed)?;
    let part = |number: u64| {
        envelope
            .iter()
            .find(|part| part.0 == number)
            .and_then(|part| part.1.bytes())
    };
    let about = parts(part(1).unwrap_or_default()).ok_or_else(malformed)?;
    let text = |number: u64| {
        let bytes = about
            .iter()
            .find(|part| part.0 == number)
            .and_then(|part| part.1.bytes());
        bytes
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    };
    let (api_version, kind) = (text(1), text(2));
    let fields = message_of(api_version, kind).ok_or_else(|| Failure::unsupported_media_type(BODIES))?;
    let mut object = read(part(2).unwrap_or_default(), fields)?;
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    Ok(object)
}

/// A value as it is on the wire.
#[derive(Clone, Copy, Debug)]
enum Wire<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

impl<'b> Wire<'b> {
    fn bytes(self) -> Option<&'b [u8]> {
        match self {
            Wire::Bytes(bytes) => Some(bytes),
            Wire::Number(_) => None,
        }
    }

    fn is_empty(self) -> bool {
        match self {
            Wire::Number(number) => number == 0,
            Wire::Bytes(bytes) => bytes.is_empty(),
        }
    }
}

/// The fields of a message by number; `None` when it is malformed.
fn parts(mut bytes: &[u8]) -> Option<Vec<(u64, Wire<'_>)>> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => Wire::Number(varint(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Wire::Bytes(value)
            }
            _ => return None,
        };
        parts.push((tag >> 3, value));
    }
    Some(parts)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn read(bytes: &[u8], fields: &[Field]) -> Outcome<Value> {
    let malformed = || Failure::bad_request("the object provided is unrecognized: malformed protobuf");
    let mut map = Map::new();
    for (number, wire) in parts(bytes).ok_or_else(malformed)? {
        let Some((_, name, kind)) = fields.iter().find(|field| field.0 == number) else {
            match wire.is_empty() {
                true => continue,
                false => return Err(Failure::unsupported_media_type(BODIES)),
            }
        };
        let bytes = || wire.bytes().ok_or_else(malformed);
        let text = || Ok::<_, Box<Failure>>(json!(String::from_utf8_lossy(bytes()?)));
        let signed = |wire: Wire<'_>| match wire {
            // Negative numbers are sign-extended on the wire.
            Wire::Number(number) => Ok(json!(number.cast_signed())),
            Wire::Bytes(_) => Err(malformed()),
        };
        let mut push = |value: Value| {
            let list = map.entry(*name).or_insert_with(|| json!([]));
            if let Value::Array(items) = list {
                items.push(value);
            }
        };
        let value = match kind {
            Type::Ignored => continue,
            Type::Text | Type::Number | Type::Flag if wire.is_empty() => continue,
            Type::Text => text()?,
            Type::Number | Type::SetNumber => signed(wire)?,
            Type::Flag | Type::SetFlag => json!(!wire.is_empty()),
            Type::Texts => {
                push(text()?);
                continue;
            }
            Type::Many(fields) => {
                push(read(bytes()?, fields)?);
                continue;
            }
            Type::One(fields) => read(bytes()?, fields)?,
            Type::Map | Type::BytesMap => {
                let entry = parts(bytes()?).ok_or_else(malformed)?;
                let part = |number: u64| {
                    let part = entry.iter().find(|part| part.0 == number);
                    part.and_then(|part| part.1.bytes()).unwrap_or_default()
                };
                let value = match kind {
                    Type::Map => json!(String::from_utf8_lossy(part(2))),
                    _ => json!(ByteString(part(2).to_vec())),
                };
                let entries = object::object_mut(map.entry(*name).or_insert(Value::Null));
                entries.insert(String::from_utf8_lossy(part(1)).into_owned(), value);
                continue;
            }
            Type::IntOrString => {
                let either = read(bytes()?, EITHER)?;
                match either["type"] == json!(1) {
                    true => either["text"].clone(),
                    false if either["number"] == json!(0) => continue,
                    false => either["number"].clone(),
                }
            }
        };
        if value != json!({}) {
            map.insert((*name).to_owned(), value);
        }
    }
    Ok(Value::Object(map))
}
