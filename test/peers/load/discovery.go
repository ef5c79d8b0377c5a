package main

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

const secretType = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

// protocol is one of the two ways to subscribe.
type protocol struct {
	method      string
	subscribe   func(o options, index int) []byte
	acknowledge func(o options, version, nonce string) []byte
	read        func(response []byte) (version, nonce string)
}

// State of the world: DiscoveryRequest 1 version_info, 2 node, 3 resource_names, 4 type_url, 5 response_nonce;
// DiscoveryResponse 1 version_info, 5 nonce.
var sotw = protocol{
	method: "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
	subscribe: func(o options, index int) []byte {
		message := appendField(nil, 2, encodeNode(o, index))
		return appendField(appendNames(message, 3, o), 4, []byte(secretType))
	},
	acknowledge: func(o options, version, nonce string) []byte {
		message := appendField(nil, 1, []byte(version))
		message = appendField(appendNames(message, 3, o), 4, []byte(secretType))
		return appendField(message, 5, []byte(nonce))
	},
	read: func(response []byte) (string, string) { return readFields(response, 1, 5) },
}

// Delta: DeltaDiscoveryRequest 1 node, 2 type_url, 3 resource_names_subscribe, 6 response_nonce;
// DeltaDiscoveryResponse 1 system_version_info, 5 nonce.
var delta = protocol{
	method: "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets",
	subscribe: func(o options, index int) []byte {
		message := appendField(nil, 1, encodeNode(o, index))
		return appendNames(appendField(message, 2, []byte(secretType)), 3, o)
	},
	acknowledge: func(_ options, _, nonce string) []byte {
		return appendField(appendField(nil, 2, []byte(secretType)), 6, []byte(nonce))
	},
	read: func(response []byte) (string, string) { return readFields(response, 1, 5) },
}

func appendNames(message []byte, number protowire.Number, o options) []byte {
	for _, name := range strings.Split(o.names, ",") {
		message = appendField(message, number, []byte(name))
	}
	return message
}

// Node: 1 id, 2 cluster, 3 metadata (Struct: 1 fields, a map of string to Value; Value: 3 string_value).
func encodeNode(o options, index int) []byte {
	node := appendField(nil, 1, fmt.Appendf(nil, "load-%d", index))
	node = appendField(node, 2, []byte("load"))
	if o.nodeMetadata == "" {
		return node
	}
	var metadata []byte
	for _, pair := range strings.Split(o.nodeMetadata, ",") {
		key, text, _ := strings.Cut(pair, "=")
		value := appendField(nil, 3, []byte(text))
		metadata = appendField(metadata, 1, appendField(appendField(nil, 1, []byte(key)), 2, value))
	}
	return appendField(node, 3, metadata)
}

func readFields(message []byte, versionField, nonceField protowire.Number) (version, nonce string) {
	eachField(message, func(number protowire.Number, value []byte) {
		switch number {
		case versionField:
			version = string(value)
		case nonceField:
			nonce = string(value)
		}
	})
	return version, nonce
}
