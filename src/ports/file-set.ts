/** A directory whose files change together. */
export interface FileSet {
  /**
   * Replace the whole set. A reader that resolves the directory's current version once sees all old or all new files, never
   * a mix, also after a crash in the middle. @throws IdentityError `already-exists` when a file of that name is not ours; `not-ready`
   * when it cannot be written now
   */
  publish(files: ReadonlyMap<string, FileContent>): Promise<void>
}

export interface FileContent {
  readonly content: string
  /** True for what only the owner may read. */
  readonly secret: boolean
}
