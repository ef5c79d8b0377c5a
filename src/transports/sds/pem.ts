/** PEM blocks, one after another, in lines of 64 characters. */
export function pem(label: "CERTIFICATE" | "PRIVATE KEY", blocks: readonly Uint8Array[]): Buffer {
  return Buffer.concat(blocks.map((der) => block(label, der)))
}

function block(label: string, der: Uint8Array): Buffer {
  const lines = Buffer.from(der.buffer, der.byteOffset, der.byteLength)
    .toString("base64")
    .replace(/.{64}(?!$)/g, "$&\n")
  return Buffer.from(`-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`, "latin1")
}
