# ./dev package: a Debian package of the release build. Sourced by ./dev.

dev_package() {
  dev_setup package
  build release penstock
  local version architecture package=$BUILD/package root
  version=$(sed -n 's/^project(penstock VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
  architecture=$(dpkg --print-architecture)
  root=$package/root
  rm -rf "$package"
  mkdir -p "$package/debian"

  install -D -m 755 -s --strip-program=llvm-strip-19 "$BUILD/release/penstock" "$root/usr/bin/penstock"
  install -D -m 755 packaging/penstock-admin "$root/usr/bin/penstock-admin"
  install -D -m 644 packaging/penstock.toml "$root/etc/penstock/penstock.toml"
  install -D -m 644 packaging/penstock.default "$root/etc/default/penstock"
  install -D -m 644 packaging/penstock.service "$root/lib/systemd/system/penstock.service"
  install -D -m 644 packaging/debian/copyright "$root/usr/share/doc/penstock/copyright"
  install -m 644 README.md "$root/usr/share/doc/penstock/README.md"
  gzip -9n <CHANGELOG.md >"$root/usr/share/doc/penstock/changelog.gz"
  install -m 644 docs/benchmarks.md "$root/usr/share/doc/penstock/benchmarks.md"
  install -D -m 644 -t "$root/usr/share/penstock/grafana" packaging/grafana/penstock.json
  install -D -m 644 -t "$root/usr/share/penstock/prometheus" packaging/prometheus/penstock.rules.yml
  [[ ! -d docs/manual ]] || cp -r docs/manual "$root/usr/share/doc/penstock/manual"
  mkdir -p "$root/usr/share/man/man1"
  gzip -9n <packaging/penstock.1 >"$root/usr/share/man/man1/penstock.1.gz"
  ln -s penstock.1.gz "$root/usr/share/man/man1/penstock-admin.1.gz"
  chmod -R u=rwX,go=rX "$root/usr/share"

  mkdir -p "$root/DEBIAN"
  install -m 755 packaging/debian/{postinst,prerm,postrm} "$root/DEBIAN/"
  install -m 644 packaging/debian/conffiles "$root/DEBIAN/"
  local depends size
  depends=$(shared_libraries "$package" "$root/usr/bin/penstock")
  size=$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)
  sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@DEPENDS@/$depends/" \
    -e "s/@SIZE@/$size/" packaging/debian/control.in >"$root/DEBIAN/control"
  (cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"

  local file=$package/penstock_${version}_$architecture.deb
  dpkg-deb --root-owner-group --build "$root" "$file" >&2
  echo "$file"
}

# The packages whose libraries the program needs, with the versions it needs, as Debian knows them.
shared_libraries() {
  local folder=$1 program=$2
  printf 'Source: penstock\n\nPackage: penstock\nArchitecture: any\n' >"$folder/debian/control"
  (cd "$folder" && dpkg-shlibdeps -O --warnings=0 "$program") | sed -n 's/^shlibs:Depends=//p'
}
