//! A network that learns: its parameters are found by name, and after a backward pass so are their
//! gradients.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{CpuStorage, DType, Device, Tensor, Var, WithDType};

use crate::kernels::Learning;
use crate::layers::{Linear, Precision};
use crate::network::Parameters;
use crate::params::Values;
use crate::{Network, NetworkConfig, SurrogateError};

type Result<T> = std::result::Result<T, SurrogateError>;

/// A network whose parameters learn.
pub struct Learner {
    network: Network,
    roles: Roles,
}

/// How the parameters take part.
#[derive(Default)]
struct Roles {
    /// As variables of the tensor library.
    variables: BTreeMap<String, Var>,
    /// The values that these began with.
    values: Values,
    /// In layers that keep their own gradients, by the names of the layer's maps.
    layers: Vec<(Vec<String>, Arc<Learning>)>,
}

impl Learner {
    /// Of parameters, computing in this type and precision on this device. The weights of linear
    /// maps are not copied where a layer can keep their gradients itself.
    pub fn new(
        config: &NetworkConfig,
        values: Values,
        dtype: DType,
        device: &Device,
        precision: Precision,
    ) -> Result<Self> {
        let roles = RefCell::new(Roles { values, ..Roles::default() });
        let source = Source { roles, dtype, device };
        let network = Network::assemble(config, &source, precision)?;
        Ok(Self { network, roles: source.roles.into_inner() })
    }

    /// The network itself.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The gradient of a scalar that this network's results led to, by every parameter that took
    /// part, row-major; `T` is the type in which the network computes.
    pub fn gradients<T: WithDType>(&self, loss: &Tensor) -> Result<BTreeMap<String, Vec<T>>> {
        let store = loss.backward()?;
        let mut all = BTreeMap::new();
        for (name, var) in &self.roles.variables {
            if let Some(gradient) = store.get(var.as_tensor()) {
                all.insert(name.clone(), gradient.flatten_all()?.to_vec1()?);
            }
        }
        let numbers = |own: Vec<f32>| T::cpu_storage_data(CpuStorage::F32(own));
        for (names, layer) in &self.roles.layers {
            for (name, (weight, bias)) in names.iter().zip(layer.take()) {
                all.insert(weight_of(name), numbers(weight)?);
                all.insert(bias_of(name), numbers(bias)?);
            }
        }
        Ok(all)
    }

    /// The parameters again.
    pub fn into_values(self) -> Values {
        let Self { network, roles } = self;
        drop(network);
        let mut values = roles.values;
        for (names, layer) in roles.layers {
            for (name, (weight, bias)) in names.iter().zip(layer.into_maps()) {
                let n_in = weight.len() / bias.len().max(1);
                values.insert(weight_of(name), (vec![bias.len(), n_in], weight));
                values.insert(bias_of(name), (vec![bias.len()], bias));
            }
        }
        values
    }
}

fn weight_of(map: &str) -> String {
    format!("{map}.weight")
}

fn bias_of(map: &str) -> String {
    format!("{map}.bias")
}

/// Gives a network its parameters and notes how they take part.
struct Source<'a> {
    roles: RefCell<Roles>,
    dtype: DType,
    device: &'a Device,
}

fn missing(name: &str) -> SurrogateError {
    SurrogateError::Input(format!("parameter {name} is missing"))
}

impl Parameters for Source<'_> {
    fn tensor(&self, name: &str) -> Result<Tensor> {
        let mut roles = self.roles.borrow_mut();
        let (shape, data) = roles.values.get(name).ok_or_else(|| missing(name))?;
        let tensor = Tensor::from_slice(data, shape.as_slice(), self.device)?;
        let var = Var::from_tensor(&tensor.to_dtype(self.dtype)?)?;
        let tensor = var.as_tensor().clone();
        roles.variables.insert(name.to_owned(), var);
        Ok(tensor)
    }

    fn linear(&self, names: &[String], precision: Precision) -> Result<Linear> {
        let single = self.dtype == DType::F32 && precision == Precision::F32;
        if !single || !Learning::possible(self.device) {
            return Linear::new(&self.maps(names)?, precision);
        }
        let mut roles = self.roles.borrow_mut();
        let mut give = |name: String| -> Result<Vec<f32>> {
            roles.values.remove(&name).map(|(_, data)| data).ok_or_else(|| missing(&name))
        };
        let maps = names.iter().map(|name| Ok((give(weight_of(name))?, give(bias_of(name))?)));
        let layer = Learning::new(maps.collect::<Result<_>>()?)?;
        roles.layers.push((names.to_vec(), layer.clone()));
        Ok(Linear::Learning(layer))
    }
}
