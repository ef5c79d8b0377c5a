"""Drives the unmodified py-spiffe library for the interop tests.

Every result is one JSON object a line on standard output, with the field "event". A failed command ends with the line
{"event":"error","message":...} and exit status 1. The socket comes from SPIFFE_ENDPOINT_SOCKET.
"""

import argparse
import json
import queue
import sys

from spiffe import JwtSvid, WorkloadApiClient

TIMEOUT_SECONDS = 20


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    for name, run in (("x509", fetch_x509), ("bundles", fetch_bundles), ("jwt", fetch_jwt), ("watch", watch)):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        if name == "jwt":
            command.add_argument("--audience", required=True)
        if name == "watch":
            command.add_argument("--updates", type=int, required=True)
            command.add_argument("--timeout", type=float, default=300)
    arguments = parser.parse_args()
    try:
        with WorkloadApiClient(default_timeout=TIMEOUT_SECONDS) as client:
            arguments.run(client, arguments)
    except Exception as error:  # whatever the library throws is the result of the command
        emit("error", message=f"{type(error).__name__}: {error}")
        return 1
    return 0


def fetch_x509(client, _arguments):
    emit_context("x509", client.fetch_x509_context())


def fetch_bundles(client, _arguments):
    x509 = {str(b.trust_domain): len(b.x509_authorities) for b in client.fetch_x509_bundles().bundles}
    jwt = {str(b.trust_domain): len(b.jwt_authorities) for b in client.fetch_jwt_bundles().bundles}
    emit("bundles", x509=x509, jwt=jwt)


def fetch_jwt(client, arguments):
    svid = client.fetch_jwt_svid(audience={arguments.audience})
    by_rpc = client.validate_jwt_svid(token=svid.token, audience=arguments.audience)
    trust_domain = svid.spiffe_id.trust_domain
    bundle = client.fetch_jwt_bundles().get_bundle_for_trust_domain(trust_domain)
    local = JwtSvid.parse_and_validate(svid.token, bundle, {arguments.audience})
    if not svid.spiffe_id == by_rpc.spiffe_id == local.spiffe_id:
        raise ValueError("the three ways to read the token disagree")
    emit("jwt", id=str(svid.spiffe_id), audience=sorted(svid.audience), expiry=int(svid.expiry), validated=["local", "rpc"])


def watch(client, arguments):
    updates = queue.Queue(maxsize=1024)
    stream = client.stream_x509_contexts(updates.put, updates.put, retry_connect=False)
    try:
        for _ in range(arguments.updates):
            update = updates.get(timeout=arguments.timeout)
            if isinstance(update, Exception):
                raise update
            emit_context("update", update)
    finally:
        stream.cancel()


def emit_context(event, context):
    svids = [
        {
            "id": str(svid.spiffe_id),
            "serial": format(svid.leaf.serial_number, "x"),
            "chain": len(svid.cert_chain),
            "notAfter": int(svid.leaf.not_valid_after_utc.timestamp()),
        }
        for svid in context.x509_svids
    ]
    bundles = {str(b.trust_domain): len(b.x509_authorities) for b in context.x509_bundle_set.bundles}
    emit(event, svids=svids, bundles=bundles)


def emit(event, **values):
    print(json.dumps({"event": event, **values}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
