import { malformed } from "./refusal.ts"

/** One PEM block, lines of 64, with a newline at the end. */
export function encodePem(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.length).toString("base64")
  const lines = base64.match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`
}

/**
 * Read the PEM blocks of a text, which must all have this label. Text between blocks is ignored, headers inside them are
 * refused. Takes time linear in the text. @param bounds most characters and most blocks
 * @throws IdentityError `malformed`, reason `pem` @see CSR-07
 */
export function parsePem(
  text: string,
  label: string,
  bounds: { readonly maxLength: number; readonly maxBlocks: number },
): readonly Uint8Array[] {
  if (text.length > bounds.maxLength) throw malformed("pem", "PEM text is too long")
  const blocks: Uint8Array[] = []
  let lines: string[] | undefined
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith("-----BEGIN ")) {
      if (lines !== undefined || blocks.length === bounds.maxBlocks) throw malformed("pem", "PEM has a block too many")
      if (line.trimEnd() !== `-----BEGIN ${label}-----`) throw malformed("pem", `PEM block is not a ${label}`)
      lines = []
    } else if (line.startsWith("-----END ")) {
      if (lines === undefined || line.trimEnd() !== `-----END ${label}-----`)
        throw malformed("pem", "PEM ends no block")
      blocks.push(decodeBody(lines.join("")))
      lines = undefined
    } else lines?.push(line.trimEnd())
  }
  if (lines !== undefined) throw malformed("pem", "PEM block has no end")
  if (blocks.length === 0) throw malformed("pem", "PEM has no block")
  return blocks
}

function decodeBody(body: string): Uint8Array {
  const bytes = Buffer.from(body, "base64")
  // Node skips what is not base64; coming back to the same text shows that nothing was skipped.
  if (bytes.length === 0 || bytes.toString("base64") !== body) throw malformed("pem", "PEM block is not base64")
  return new Uint8Array(bytes)
}
