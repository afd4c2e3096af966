# An image with the command line. The installation script is tested; the build of the image is not.
#   docker build -t tunewright . && docker run -v "$HOME/tunewright:/data" -v "$PWD:/work" tunewright tune train.py ...
FROM python:3.11-slim
COPY . /source
RUN sh /source/scripts/install_image && rm -rf /source
RUN useradd --create-home tunewright && mkdir -p /data /work && chown tunewright /data /work
USER tunewright
WORKDIR /work
ENV TUNEWRIGHT_HOME=/data
ENTRYPOINT ["tunewright"]
