/** Another serve runs with the same home folder. Two would overwrite each other's files. */
export class AlreadyRunning extends Error {
  override readonly name = "AlreadyRunning";
}
