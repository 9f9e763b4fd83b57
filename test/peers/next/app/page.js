export default function Page() {
  return <p>The rest of the site.</p>;
}
