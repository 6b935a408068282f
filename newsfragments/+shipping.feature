`docs/upgrading.md` describes upgrading, going back and uninstalling; `etc/debian/build` makes a Debian package, and `.ci/release` a release with its entry in `NEWS.md`.
