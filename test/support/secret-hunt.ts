/** A secret that was found where it must not be. */
export interface Leak {
  /** Of the secret. */
  readonly name: string
  readonly form: string
  readonly place: string
}

/** Something that a process gave away, and where. */
export interface Output {
  readonly place: string
  readonly bytes: Uint8Array
}

/**
 * Looks for secrets in whatever a process gave away: as they are, in hex, in base64 and base64url at every offset within a longer
 * text, percent-encoded, and all of these also across line breaks.
 */
export class SecretHunt {
  readonly #needles = new Map<string, readonly Needle[]>()

  get names(): readonly string[] {
    return [...this.#needles.keys()]
  }

  /** @param secret at least 16 bytes: less is found by chance */
  add(name: string, secret: Uint8Array | string): void {
    const bytes = Buffer.from(secret)
    if (bytes.length < MIN_SECRET) throw new RangeError(`${name} is too short to hunt for`)
    this.#needles.set(name, formsOf(bytes))
  }

  /** The signature of a token, which is what makes it one: the rest is in records of what was signed. */
  addToken(name: string, token: string): void {
    const signature = token.split(".").at(-1) ?? ""
    this.add(`${name}: text`, signature)
    this.add(`${name}: bytes`, Buffer.from(signature, "base64url"))
  }

  search(outputs: readonly Output[]): readonly Leak[] {
    return outputs.flatMap(({ place, bytes }) => {
      const text = Buffer.from(bytes).toString("latin1")
      const texts = [text, text.replace(LINE_BREAKS, "")]
      return [...this.#needles].flatMap(([name, needles]) =>
        needles.flatMap(({ form, text: needle }) =>
          texts.some((one) => one.includes(needle)) ? [{ name, form, place }] : [],
        ),
      )
    })
  }
}

/** What {@link SecretHunt} must find in each form; for the proof that it does. */
export const PLANTED_FORMS: Readonly<Record<string, (secret: Buffer) => string | Uint8Array>> = {
  raw: (secret) => secret,
  hex: (secret) => secret.toString("hex"),
  "HEX with colons": (secret) => secret.toString("hex").toUpperCase().match(/../g)?.join(":") ?? "",
  base64: (secret) => secret.toString("base64"),
  "base64 after one byte": (secret) =>
    Buffer.concat([Buffer.from("x"), secret, Buffer.from("tail")]).toString("base64"),
  "base64 after two bytes": (secret) => Buffer.concat([Buffer.from("xy"), secret]).toString("base64"),
  base64url: (secret) => secret.toString("base64url"),
  "base64url in Basic": (secret) => Buffer.concat([Buffer.from("client:"), secret]).toString("base64url"),
  "percent-encoded": (secret) => encodeURIComponent(secret.toString("base64")),
  PEM: (secret) =>
    secret
      .toString("base64")
      .match(/.{1,20}/g)
      ?.join("\n") ?? "",
  "PEM in JSON": (secret) =>
    JSON.stringify(
      secret
        .toString("base64")
        .match(/.{1,20}/g)
        ?.join("\n"),
    ),
}

interface Needle {
  readonly form: string
  /** Each character is a byte. */
  readonly text: string
}

function formsOf(secret: Buffer): readonly Needle[] {
  const hex = secret.toString("hex")
  const upper = hex.toUpperCase()
  const colons = [hex, upper].map((text) => ({ form: "hex", text: text.match(/../g)?.join(":") ?? "" }))
  const offsets = [0, 1, 2].flatMap((offset) => {
    const text = innerBase64(secret, offset)
    const url = text.replaceAll("+", "-").replaceAll("/", "_")
    const percent = encodeURIComponent(text)
    return [
      { form: "base64", text },
      ...(url === text ? [] : [{ form: "base64url", text: url }]),
      ...(percent === text ? [] : [{ form: "percent-encoded", text: percent }]),
    ]
  })
  return [
    { form: "raw", text: secret.toString("latin1") },
    { form: "hex", text: hex },
    { form: "hex", text: upper },
    ...colons,
    ...offsets,
  ]
}

/** The characters that are the same whatever stands before and after, when `secret` begins at this offset of a group of three. */
function innerBase64(secret: Buffer, offset: number): string {
  const bits = (offset + secret.length) * 8
  const text = Buffer.concat([Buffer.alloc(offset), secret]).toString("base64")
  return text.slice(Math.ceil((offset * 8) / 6), Math.floor(bits / 6))
}

/** Also as JSON writes them. */
const LINE_BREAKS = /\r?\n|(?:\\r)?\\n/g
const MIN_SECRET = 16
