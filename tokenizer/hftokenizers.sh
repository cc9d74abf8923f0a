#!/bin/sh
# Builds the Rust library "tokenizers" behind github.com/daulet/tokenizers, for the build tag hftokenizers.
#
#   export CGO_LDFLAGS="$(tokenizer/hftokenizers.sh FOLDER)"
#   go test -tags hftokenizers ./tokenizer
#
# FOLDER receives libtokenizers.a and the build cache of cargo. Needs cargo and a C compiler.
set -eu

if [ $# -ne 1 ]; then
	echo "usage: $0 FOLDER" >&2
	exit 2
fi
mkdir -p "$1"
folder=$(cd "$1" && pwd)

cd "$(dirname "$0")"
version=v1.20.2
go mod download "github.com/daulet/tokenizers@$version"
source=$(go mod download -json "github.com/daulet/tokenizers@$version" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p')

CARGO_TARGET_DIR="$folder/target" cargo build --release --locked --manifest-path "$source/Cargo.toml" >&2
cp "$folder/target/release/libtokenizers.a" "$folder/"
echo "-L$folder"
