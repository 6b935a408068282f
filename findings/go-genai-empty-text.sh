#!/bin/sh
# Google's SDK for Go does not give a part back as it came, if its text is empty.
#
# Gemini ends a streamed answer with a part that has a thoughtSignature and an empty text, and asks to be given such
# parts back as they are (https://ai.google.dev/gemini-api/docs/thought-signatures). The SDK's Part leaves out a text
# that is empty, so that what goes back has a signature and no content at all: none of the members of which the API's
# Part says that one is set.
#
# Wrong guess: that a part of a turn that was decoded by the vendor's own SDK has the same members when it is encoded.
# A reader that skips parts without content loses the signature, and with it the model's thinking.
#
# Output seen (Go 1.26.8, google.golang.org/genai v1.77.0):
#     came: {"text":"","thoughtSignature":"EgQKAgEC"}
#     sent: {"thoughtSignature":"EgQKAgEC"}
set -eu
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"
export GOPATH="$folder/go" GOFLAGS=-mod=mod
cat > go.mod <<'MOD'
module part

go 1.24

require google.golang.org/genai v1.77.0
MOD
cat > main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"

	"google.golang.org/genai"
)

func main() {
	came := `{"text":"","thoughtSignature":"EgQKAgEC"}`
	var part genai.Part
	if err := json.Unmarshal([]byte(came), &part); err != nil {
		panic(err)
	}
	sent, err := json.Marshal(&part)
	if err != nil {
		panic(err)
	}
	fmt.Println("came:", came)
	fmt.Println("sent:", string(sent))
}
GO
go run . 2>errors | tee seen || { cat errors; exit 1; }
grep -qx 'sent: {"thoughtSignature":"EgQKAgEC"}' seen
