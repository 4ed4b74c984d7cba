//! The macro that writes both doors of a Rust plugin.

/// Writes the C symbol `marsfm_plugin_entry` and the `abi_stable` root module of a plugin; both
/// carry the same tables. Use it once, at the top of a `cdylib` crate.
///
/// ```ignore
/// marsfm_plugin_api::export_plugin! {
///     name: c"xtc",
///     version: marsfm_plugin_api::package_version!(),
///     trajectory: Xtc,      // a type that implements TrajectoryPlugin; optional
///     featurizer: Rings,    // a type that implements FeaturizerPlugin; optional
///     engine: Runner,       // a type that implements EnginePlugin; optional
///     backend: Gpu,         // a type that implements BackendPlugin; optional
///     proposer: Twist,      // a type that implements ProposerPlugin; optional
/// }
/// ```
#[macro_export]
macro_rules! export_plugin {
    (
        name: $name:expr, version: $version:expr
        $(, trajectory: $trajectory:ty)? $(, featurizer: $featurizer:ty)?
        $(, engine: $engine:ty)? $(, backend: $backend:ty)?
        $(, proposer: $proposer:ty)? $(,)?
    ) => {
        #[cfg(panic = "abort")]
        compile_error!(
            "a marsfm plugin must be built with panic = \"unwind\": \
             its panics are caught and become statuses"
        );

        #[doc(hidden)]
        #[allow(unsafe_code)] // exports the two symbols of a plugin
        mod marsfm_plugin_doors {
            use super::*;
            use $crate::abi;

            fn trajectory() -> ::std::option::Option<&'static abi::TrajectoryService> {
                let table = ::std::option::Option::None;
                $(let table = table.or(Some($crate::trajectory_table::<$trajectory>()));)?
                table
            }

            fn featurizer() -> ::std::option::Option<&'static abi::FeaturizerService> {
                let table = ::std::option::Option::None;
                $(let table = table.or(Some($crate::featurizer_table::<$featurizer>()));)?
                table
            }

            fn engine() -> ::std::option::Option<&'static $crate::engine_abi::EngineService> {
                let table = ::std::option::Option::None;
                $(let table = table.or(Some($crate::engine_table::<$engine>()));)?
                table
            }

            fn backend() -> ::std::option::Option<&'static $crate::backend_abi::BackendService> {
                let table = ::std::option::Option::None;
                $(let table = table.or(Some($crate::backend_table::<$backend>()));)?
                table
            }

            fn proposer() -> ::std::option::Option<&'static $crate::proposer_abi::ProposerService> {
                let table = ::std::option::Option::None;
                $(let table = table.or(Some($crate::proposer_table::<$proposer>()));)?
                table
            }

            extern "C" fn get_service(
                id: *const ::std::ffi::c_char,
            ) -> *const ::std::ffi::c_void {
                let later = (engine(), backend(), proposer());
                $crate::find_service(id, (trajectory(), featurizer()), later)
            }

            static ENTRY: abi::Entry = $crate::entry($name, $version, get_service);

            /// The C door.
            #[unsafe(no_mangle)]
            pub extern "C" fn marsfm_plugin_entry(
                host: *const abi::HostInfo,
            ) -> *const abi::Entry {
                $crate::quiet_guarded_panics();
                if $crate::accepts(host) { &ENTRY } else { ::std::ptr::null() }
            }

            fn rust_door() -> $crate::RustDoorRef {
                $crate::rust_door(marsfm_plugin_entry, &ENTRY, trajectory(), featurizer())
            }

            extern "C" fn erased_door() -> $crate::abi_stable::library::RootModuleResult {
                $crate::abi_stable::library::__call_root_module_loader(rust_door)
            }

            /// The Rust door: what `abi_stable::export_root_module` writes, for edition 2024.
            #[unsafe(no_mangle)]
            #[allow(non_upper_case_globals)]
            pub static _1as_0lib_1header_0root_bmodule_bloader: $crate::abi_stable::library::LibHeader =
                // SAFETY: `erased_door` returns the module of the type named here.
                unsafe {
                    $crate::abi_stable::library::LibHeader::from_constructor::<$crate::RustDoorRef>(
                        erased_door,
                        $crate::abi_stable::library::CheckTypeLayout::Yes,
                    )
                };
        }
    };
}

/// The version of the calling package as a C string.
#[macro_export]
macro_rules! package_version {
    () => {
        const {
            match ::std::ffi::CStr::from_bytes_with_nul(
                concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes(),
            ) {
                Ok(version) => version,
                Err(_) => c"unknown",
            }
        }
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_rust_door_has_the_name_that_abi_stable_looks_for() {
        assert_eq!(
            abi_stable::library::ROOT_MODULE_LOADER_NAME,
            "_1as_0lib_1header_0root_bmodule_bloader"
        );
    }
}
