//! Models that were opened, in formats that other programs read: `safetensors` for weights, ONNX for the whole computation from
//! raw features to the probability.

use crate::{JobError, ModelFile};
use prost::Message;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;

/// A tensor of `f32` by name: extents, little-endian bytes.
struct Named {
    name: String,
    extents: Vec<usize>,
    bytes: Vec<u8>,
}

fn named(name: impl Into<String>, extents: &[usize], values: impl IntoIterator<Item = f64>) -> Named {
    let bytes = values.into_iter().flat_map(|v| (v as f32).to_le_bytes()).collect();
    Named { name: name.into(), extents: extents.to_vec(), bytes }
}

/// All tensors of a model, in the order in which they are applied. `(x - centre) * factor`, `(x - mean) * inverse_deviation`, then
/// layers `weight x + bias`.
fn tensors(model: &ModelFile) -> Vec<Named> {
    let features = model.mean.len();
    let mut all = vec![
        named("input.centre", &[features], model.scaling.centre.iter().copied()),
        named("input.factor", &[features], model.scaling.factor.iter().copied()),
        named("input.mean", &[features], model.mean.iter().copied()),
        named("input.inverse_deviation", &[features], model.inverse_deviation.iter().copied()),
    ];
    for (i, layer) in model.model.layers.iter().enumerate() {
        let (outputs, inputs) = (layer.weights.len(), layer.weights.first().map_or(0, Vec::len));
        let weights = layer.weights.iter().flatten().copied();
        all.push(named(format!("layers.{i}.weight"), &[outputs, inputs], weights));
        all.push(named(format!("layers.{i}.bias"), &[outputs], layer.biases.iter().copied()));
    }
    all
}

/// What says where the model comes from.
fn metadata(model: &ModelFile) -> Vec<(String, String)> {
    vec![
        ("job".into(), model.job.clone()),
        ("trained_under".into(), model.trained_under.clone()),
        ("input_limit".into(), model.input_limit.to_string()),
        ("features".into(), model.schema.feature_names().join(",")),
    ]
}

/// The weights as `safetensors`.
///
/// # Errors
/// None in practice: names differ and sizes fit.
pub fn safetensors(model: &ModelFile) -> Result<Vec<u8>, JobError> {
    let failed = |e: safetensors::SafeTensorError| JobError::Internal(e.to_string());
    let tensors = tensors(model);
    let views =
        tensors.iter().map(|t| Ok((t.name.as_str(), TensorView::new(Dtype::F32, t.extents.clone(), &t.bytes)?)));
    let views = views.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let metadata: HashMap<String, String> = metadata(model).into_iter().collect();
    safetensors::serialize(views, Some(metadata)).map_err(failed)
}

/// The model as ONNX (operator set 17): input `rows`, `[n, features]` as the schema encodes them; output `prediction`, `[n, 1]`.
pub fn onnx(model: &ModelFile) -> Vec<u8> {
    let mut initializer: Vec<pb::Tensor> = tensors(model).into_iter().map(pb::Tensor::of).collect();
    initializer.push(pb::Tensor::of(named("low", &[], [-model.input_limit])));
    initializer.push(pb::Tensor::of(named("high", &[], [model.input_limit])));
    let mut node = Vec::new();
    let mut value = "rows".to_owned();
    let mut apply = |op: &str, operands: &[&str], attribute: Vec<pb::Attribute>| {
        let output = format!("value{}", node.len());
        let input = std::iter::once(value.clone()).chain(operands.iter().map(|s| s.to_string())).collect();
        node.push(pb::Node {
            input,
            output: vec![output.clone()],
            op_type: op.into(),
            attribute,
            ..Default::default()
        });
        value = output;
    };
    apply("Sub", &["input.centre"], Vec::new());
    apply("Mul", &["input.factor"], Vec::new());
    apply("Sub", &["input.mean"], Vec::new());
    apply("Mul", &["input.inverse_deviation"], Vec::new());
    apply("Clip", &["low", "high"], Vec::new());
    for i in 0..model.model.layers.len() {
        if i > 0 {
            apply("Relu", &[], Vec::new());
        }
        let operands = [format!("layers.{i}.weight"), format!("layers.{i}.bias")];
        apply("Gemm", &[&operands[0], &operands[1]], vec![pb::Attribute::int("transB", 1)]);
    }
    if model.logistic {
        apply("Sigmoid", &[], Vec::new());
    }
    if let Some(last) = node.last_mut() {
        last.output = vec!["prediction".into()];
    }
    let graph = pb::Graph {
        node,
        name: "privity".into(),
        initializer,
        input: vec![pb::ValueInfo::of("rows", model.mean.len())],
        output: vec![pb::ValueInfo::of("prediction", 1)],
    };
    let metadata_props = metadata(model).into_iter().map(|(key, value)| pb::Entry { key, value }).collect();
    pb::Model {
        ir_version: 8,
        producer_name: "privity".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        opset_import: vec![pb::OperatorSet { domain: String::new(), version: 17 }],
        metadata_props,
    }
    .encode_to_vec()
}

/// The messages of `onnx.proto` that a feed-forward graph needs; numbers are those of the format.
mod pb {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Model {
        #[prost(int64, tag = "1")]
        pub ir_version: i64,
        #[prost(string, tag = "2")]
        pub producer_name: String,
        #[prost(string, tag = "3")]
        pub producer_version: String,
        #[prost(message, optional, tag = "7")]
        pub graph: Option<Graph>,
        #[prost(message, repeated, tag = "8")]
        pub opset_import: Vec<OperatorSet>,
        #[prost(message, repeated, tag = "14")]
        pub metadata_props: Vec<Entry>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct OperatorSet {
        #[prost(string, tag = "1")]
        pub domain: String,
        #[prost(int64, tag = "2")]
        pub version: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Entry {
        #[prost(string, tag = "1")]
        pub key: String,
        #[prost(string, tag = "2")]
        pub value: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Graph {
        #[prost(message, repeated, tag = "1")]
        pub node: Vec<Node>,
        #[prost(string, tag = "2")]
        pub name: String,
        #[prost(message, repeated, tag = "5")]
        pub initializer: Vec<Tensor>,
        #[prost(message, repeated, tag = "11")]
        pub input: Vec<ValueInfo>,
        #[prost(message, repeated, tag = "12")]
        pub output: Vec<ValueInfo>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Node {
        #[prost(string, repeated, tag = "1")]
        pub input: Vec<String>,
        #[prost(string, repeated, tag = "2")]
        pub output: Vec<String>,
        #[prost(string, tag = "3")]
        pub name: String,
        #[prost(string, tag = "4")]
        pub op_type: String,
        #[prost(message, repeated, tag = "5")]
        pub attribute: Vec<Attribute>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Attribute {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(int64, tag = "3")]
        pub i: i64,
        /// 2: an integer.
        #[prost(int32, tag = "20")]
        pub kind: i32,
    }

    impl Attribute {
        pub fn int(name: &str, i: i64) -> Self {
            Attribute { name: name.into(), i, kind: 2 }
        }
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Tensor {
        #[prost(int64, repeated, tag = "1")]
        pub dims: Vec<i64>,
        /// 1: `f32`.
        #[prost(int32, tag = "2")]
        pub data_type: i32,
        #[prost(string, tag = "8")]
        pub name: String,
        #[prost(bytes = "vec", tag = "9")]
        pub raw_data: Vec<u8>,
    }

    impl Tensor {
        pub fn of(tensor: super::Named) -> Self {
            let dims = tensor.extents.iter().map(|extent| *extent as i64).collect();
            Tensor { dims, data_type: 1, name: tensor.name, raw_data: tensor.bytes }
        }
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ValueInfo {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(message, optional, tag = "2")]
        pub kind: Option<Type>,
    }

    impl ValueInfo {
        /// `[n, columns]` of `f32`.
        pub fn of(name: &str, columns: usize) -> Self {
            let n = Dimension { value: None, name: Some("n".into()) };
            let columns = Dimension { value: Some(columns as i64), name: None };
            let tensor = TensorType { element: 1, shape: Some(Shape { dim: vec![n, columns] }) };
            ValueInfo { name: name.into(), kind: Some(Type { tensor: Some(tensor) }) }
        }
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Type {
        #[prost(message, optional, tag = "1")]
        pub tensor: Option<TensorType>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct TensorType {
        #[prost(int32, tag = "1")]
        pub element: i32,
        #[prost(message, optional, tag = "2")]
        pub shape: Option<Shape>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Shape {
        #[prost(message, repeated, tag = "1")]
        pub dim: Vec<Dimension>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Dimension {
        #[prost(int64, optional, tag = "1")]
        pub value: Option<i64>,
        #[prost(string, optional, tag = "2")]
        pub name: Option<String>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scaling;
    use privity_data::{Column, ExtraColumns, Schema, Table};
    use privity_nn::OpenModel;
    use privity_nn::model::OpenLayer;

    fn model() -> ModelFile {
        let columns = vec![Column::number("a", 0.0, 4.0), Column::number("b", -1.0, 1.0), Column::label("y")];
        let layer = |weights: &[&[f64]], biases: &[f64]| OpenLayer {
            weights: weights.iter().map(|row| row.to_vec()).collect(),
            biases: biases.to_vec(),
        };
        ModelFile {
            format: crate::model_file::FORMAT,
            job: "cafe".into(),
            trained_under: "a test".into(),
            schema: Schema::new(columns, ExtraColumns::Reject).expect("a contract"),
            scaling: Scaling { centre: vec![2.0, 0.0], factor: vec![8.0, 16.0], bound: 16.0 },
            mean: vec![0.5, -1.0],
            inverse_deviation: vec![0.25, 0.125],
            input_limit: 2.5,
            logistic: true,
            model: OpenModel {
                layers: vec![
                    layer(&[&[0.5, -1.0], &[1.5, 0.25], &[-0.75, 2.0]], &[0.1, -0.2, 0.3]),
                    layer(&[&[1.0, -0.5, 0.25]], &[-0.4]),
                ],
            },
        }
    }

    fn floats(bytes: &[u8]) -> Vec<f64> {
        bytes.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().expect("four bytes")))).collect()
    }

    /// What the graph computes for one row, operator by operator.
    fn evaluate(graph: &pb::Graph, row: &[f64]) -> Vec<f64> {
        let mut values: HashMap<&str, Vec<f64>> = HashMap::from([("rows", row.to_vec())]);
        values.extend(graph.initializer.iter().map(|t| (t.name.as_str(), floats(&t.raw_data))));
        for node in &graph.node {
            let operand = |i: usize| values[node.input[i].as_str()].clone();
            let x = operand(0);
            let pairwise = |f: fn(f64, f64) -> f64| x.iter().zip(operand(1)).map(|(x, y)| f(*x, y)).collect();
            let result: Vec<f64> = match node.op_type.as_str() {
                "Sub" => pairwise(|x, y| x - y),
                "Mul" => pairwise(|x, y| x * y),
                "Clip" => x.iter().map(|x| x.clamp(operand(1)[0], operand(2)[0])).collect(),
                "Relu" => x.iter().map(|x| x.max(0.0)).collect(),
                "Sigmoid" => x.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
                "Gemm" => {
                    assert_eq!((node.attribute[0].name.as_str(), node.attribute[0].i), ("transB", 1));
                    let weights = operand(1);
                    let rows = weights.chunks_exact(x.len()).zip(operand(2));
                    rows.map(|(row, bias)| row.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>() + bias).collect()
                }
                other => panic!("{other}"),
            };
            values.insert(&node.output[0], result);
        }
        values["prediction"].clone()
    }

    #[test]
    fn the_onnx_graph_computes_what_the_model_does() {
        let model = model();
        let decoded = pb::Model::decode(onnx(&model).as_slice()).expect("a message");
        let graph = decoded.graph.expect("a graph");
        assert_eq!((graph.input[0].name.as_str(), graph.output[0].name.as_str()), ("rows", "prediction"));
        let rows = vec![0.0, 1.0, 4.0, -1.0, 2.5, 0.125];
        let table = Table::new(vec!["a".into(), "b".into()], rows.clone(), vec![], vec![]).expect("sound");
        for (row, expected) in rows.chunks_exact(2).zip(model.predict(&table).expect("predictions")) {
            assert!((evaluate(&graph, row)[0] - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn safetensors_read_back() {
        let model = model();
        let bytes = safetensors(&model).expect("written");
        let read = safetensors::SafeTensors::deserialize(&bytes).expect("read");
        let weight = read.tensor("layers.0.weight").expect("there");
        assert_eq!(weight.shape(), [3, 2]);
        assert_eq!(floats(weight.data()), [0.5, -1.0, 1.5, 0.25, -0.75, 2.0]);
        assert_eq!(read.len(), 8);
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
        assert_eq!(header.metadata().as_ref().and_then(|m| m.get("job").cloned()), Some("cafe".into()));
    }
}
