#!/bin/sh
# Signs the model with the private key in the file that is named: sh sign.sh KEY. Leave it as it is.
set -eu
openssl dgst -sha256 -sign "$1" -out model.sig model.onnx
