module plinth/fdb/programs

go 1.19

// The binding of FoundationDB 7.3.63. Its releases have no tags that Go understands.
require github.com/apple/foundationdb/bindings/go v0.0.0-20250221231555-5140696da2df
