"""Headers, libraries and programs that builds miss, and the Debian packages that have them."""

from __future__ import annotations

HEADERS = {
    "Python.h": "python3-dev", "openssl/": "libssl-dev", "ffi.h": "libffi-dev", "zlib.h": "zlib1g-dev",
    "bzlib.h": "libbz2-dev", "lzma.h": "liblzma-dev", "zstd.h": "libzstd-dev", "lz4.h": "liblz4-dev",
    "snappy-c.h": "libsnappy-dev", "libxml/": "libxml2-dev", "libxslt/": "libxslt1-dev", "jpeglib.h": "libjpeg-dev",
    "png.h": "libpng-dev", "tiffio.h": "libtiff-dev", "webp/": "libwebp-dev", "ft2build.h": "libfreetype-dev",
    "hdf5.h": "libhdf5-dev", "netcdf.h": "libnetcdf-dev", "gsl/": "libgsl-dev", "cblas.h": "libopenblas-dev",
    "lapacke.h": "liblapacke-dev", "fftw3.h": "libfftw3-dev", "geos_c.h": "libgeos-dev", "proj.h": "libproj-dev",
    "proj_api.h": "libproj-dev", "gdal.h": "libgdal-dev", "spatialindex/": "libspatialindex-dev",
    "libpq-fe.h": "libpq-dev", "mysql.h": "libmariadb-dev", "sqlite3.h": "libsqlite3-dev", "sql.h": "unixodbc-dev",
    "curl/": "libcurl4-openssl-dev", "uv.h": "libuv1-dev", "ev.h": "libev-dev", "event.h": "libevent-dev",
    "zmq.h": "libzmq3-dev", "leveldb/": "libleveldb-dev", "rocksdb/": "librocksdb-dev", "lmdb.h": "liblmdb-dev",
    "boost/": "libboost-all-dev", "eigen3/": "libeigen3-dev", "Eigen/": "libeigen3-dev", "gmp.h": "libgmp-dev",
    "mpfr.h": "libmpfr-dev", "mpc.h": "libmpc-dev", "mpi.h": "libopenmpi-dev", "portaudio.h": "portaudio19-dev",
    "sndfile.h": "libsndfile1-dev", "re2/": "libre2-dev", "yaml.h": "libyaml-dev", "X11/": "libx11-dev",
    "GL/": "libgl-dev", "cairo.h": "libcairo2-dev", "gtk/": "libgtk-3-dev", "ncurses.h": "libncurses-dev",
    "readline/": "libreadline-dev", "sodium.h": "libsodium-dev", "htslib/": "libhts-dev",
    "google/protobuf/": "libprotobuf-dev", "ldap.h": "libldap-dev", "sasl/": "libsasl2-dev", "krb5.h": "libkrb5-dev",
    "pcap.h": "libpcap-dev", "systemd/": "libsystemd-dev", "dbus/": "libdbus-1-dev", "magic.h": "libmagic-dev",
    "augeas.h": "libaugeas-dev", "enchant.h": "libenchant-2-dev", "tbb/": "libtbb-dev", "simdjson.h": "libsimdjson-dev",
}  # fmt: skip
"""Header, or the folder that it lies in -> package of Debian bookworm."""
PROGRAMS = {
    "cmake": "cmake", "ninja": "ninja-build", "make": "make", "gcc": "gcc", "cc": "gcc", "g++": "g++", "c++": "g++",
    "gfortran": "gfortran", "f77": "gfortran", "cargo": "cargo", "rustc": "rustc", "swig": "swig",
    "pkg-config": "pkg-config", "pg_config": "libpq-dev", "mysql_config": "libmariadb-dev", "autoconf": "autoconf",
    "automake": "automake", "libtoolize": "libtool", "bison": "bison", "flex": "flex", "re2c": "re2c", "git": "git",
    "llvm-config": "llvm-dev", "clang": "clang", "protoc": "protobuf-compiler", "xslt-config": "libxslt1-dev",
    "xml2-config": "libxml2-dev", "gsl-config": "libgsl-dev", "h5cc": "libhdf5-dev", "nc-config": "libnetcdf-dev",
    "geos-config": "libgeos-dev", "gdal-config": "libgdal-dev", "curl-config": "libcurl4-openssl-dev",
    "gettext": "gettext", "msgfmt": "gettext", "node": "nodejs", "npm": "npm", "java": "default-jdk",
}  # fmt: skip
"""Program -> package of Debian bookworm."""
LIBRARIES = {
    "ssl": "libssl-dev", "crypto": "libssl-dev", "ffi": "libffi-dev", "z": "zlib1g-dev", "bz2": "libbz2-dev",
    "lzma": "liblzma-dev", "zstd": "libzstd-dev", "lz4": "liblz4-dev", "xml2": "libxml2-dev", "xslt": "libxslt1-dev",
    "jpeg": "libjpeg-dev", "png": "libpng-dev", "hdf5": "libhdf5-dev", "netcdf": "libnetcdf-dev", "gsl": "libgsl-dev",
    "openblas": "libopenblas-dev", "blas": "libblas-dev", "lapack": "liblapack-dev", "fftw3": "libfftw3-dev",
    "geos_c": "libgeos-dev", "gdal": "libgdal-dev", "pq": "libpq-dev", "sqlite3": "libsqlite3-dev",
    "curl": "libcurl4-openssl-dev", "gmp": "libgmp-dev", "mpfr": "libmpfr-dev", "yaml": "libyaml-dev",
}  # fmt: skip
"""What `-l` names -> package of Debian bookworm."""


def package_of_header(name: str) -> str:
    """The package with a header, or how to find it."""
    last = name.rpartition("/")[2]
    found = HEADERS.get(name) or HEADERS.get(last)
    if found is None:
        found = next((package for start, package in HEADERS.items() if start.endswith("/") and start in name), None)
    return found or f"the package that `apt-file search {last}` names"
