import { randomBytes } from "node:crypto"
import { signIssuing } from "../../../src/app/issue/sign-authority.ts"
import { parseSpiffeId } from "../../../src/core/spiffe/id.ts"
import { parseCertificate } from "../../../src/core/x509/certificate.ts"
import { prepareLeafTemplate } from "../../../src/core/x509/leaf-template.ts"
import { encodePem } from "../../../src/core/x509/pem.ts"
import { IssuancePermit } from "../../../src/core/x509/permit.ts"
import { makeSerial } from "../../../src/core/x509/serial.ts"
import type { RootRecord } from "../../../src/ports/authority-journal.ts"
import type { KeyFolder } from "../live-mesh.ts"
import { makeKeyPair, signTbs } from "../test-ca.ts"
import type { StolenSvid } from "./stolen-svid.ts"

/** An SVID that the server never made: below any root whose key lies in the folder, whether that root signs or was only prepared. */
export async function forgeSvid({ record, keys }: KeyFolder, root: RootRecord, spiffeId: string): Promise<StolenSvid> {
  const [issuing, leaf] = [makeKeyPair(), makeKeyPair()]
  const now = Math.floor(Date.now() / 1000)
  const life = { notBefore: now - 60, notAfter: now + 600 }
  const { trustDomain } = record
  const request = { serial: serial(), trustDomain, subject: NAME, publicKey: issuing.publicKey, ...life }
  const rootView = parseCertificate(root.certificate)
  const authority = await signIssuing(request, rootView, await keys.open(root.keyId))
  const template = prepareLeafTemplate({ issuer: parseCertificate(authority) })
  const names = { spiffeId: parseSpiffeId(spiffeId), dnsNames: [], ipAddresses: [] }
  const permit = IssuancePermit.prepare(template, { serial: serial(), ...names, publicKey: leaf.publicKey, ...life })
  const certificate = signTbs(issuing, permit.redeem(issuing.publicKey.keyIdHex))
  const key = leaf.privateKey.export({ format: "pem", type: "pkcs8" }).toString()
  return { key, cert: [certificate, authority].map((der) => encodePem("CERTIFICATE", der)).join("") }
}

function serial() {
  return makeSerial(randomBytes, 2)
}

const NAME = { commonName: "Thief" }
