//! The macro that defines a block of the file once: fields, reader and JSON Schema.

/// Defines a block.
///
/// Each field is `"key" field: Type`, with a doc comment that also becomes the key's description in
/// the JSON Schema. The struct, the accepted keys and the properties of the schema come from this
/// one list, so they cannot differ. A field that no code reads is a compiler warning, so that no
/// key is accepted and ignored.
///
/// `shown_as Model` declares that the accepted value has the same fields: then `Model::show` writes
/// the block again.
macro_rules! block {
    (
        $(#[doc = $doc:literal])*
        $name:ident {
            $( $(#[doc = $field_doc:literal])* $key:literal $field:ident: $type:ty, )*
        }
        $( required [$($required:literal),*] )?
        $( one_of [$($one_of:literal),*] )?
        $( later [$($later:literal),*] )?
        $( shown_as $model:ident )?
    ) => {
        $crate::block::shown!([$($model)?] $( $key $field: $type, )*);

        $(#[doc = $doc])*
        #[derive(Debug, Clone, Default)]
        pub(crate) struct $name {
            $( $(#[doc = $field_doc])* pub(crate) $field: Option<$crate::block::At<$type>>, )*
        }

        impl $name {
            const BLOCK: $crate::block::read::Keys = $crate::block::read::Keys {
                all: &[$($key),*],
                required: &[$($($required),*)?],
                one_of: &[$($($one_of),*)?],
                later: &[$($($later),*)?],
            };
        }

        impl $crate::block::read::Read for $name {
            const KEYS: Option<&'static $crate::block::read::Keys> = Some(&Self::BLOCK);

            fn read(
                node: &$crate::block::node::Node,
                place: &$crate::block::problem::Place,
                reader: &mut $crate::block::read::Reader<'_>,
            ) -> Option<Self> {
                let fields = $crate::block::read::Fields::open(node, place, &Self::BLOCK, reader)?;
                Some(Self { $( $field: fields.take($key, reader), )* })
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::block::json::block(
                    [$($doc),*].concat(),
                    &Self::BLOCK,
                    vec![$((
                        $key,
                        [$($field_doc),*].concat(),
                        generator.subschema_for::<$type>(),
                    )),*],
                )
            }
        }
    };
}

/// Renders an accepted block whose fields are those of the block.
macro_rules! shown {
    ([] $($rest:tt)*) => {};
    ([$model:ident] $( $key:literal $field:ident: $type:ty, )*) => {
        impl $model {
            /// Renders it as it would be written in the file.
            pub(crate) fn show(&self) -> $crate::block::show::Object {
                $crate::block::show::Object::new()
                    $( .with($key, <$type as $crate::block::show::Shows<_>>::show(&self.$field)) )*
            }
        }
    };
}

pub(crate) use block;
pub(crate) use shown;
