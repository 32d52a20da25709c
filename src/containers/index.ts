export function ownerOf(_path: string): null {
  return null;
}
