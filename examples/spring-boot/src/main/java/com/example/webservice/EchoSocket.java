package com.example.webservice;

import jakarta.servlet.ServletContext;
import jakarta.websocket.DeploymentException;
import jakarta.websocket.Endpoint;
import jakarta.websocket.EndpointConfig;
import jakarta.websocket.MessageHandler;
import jakarta.websocket.Session;
import jakarta.websocket.server.ServerContainer;
import jakarta.websocket.server.ServerEndpointConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.springframework.beans.factory.SmartInitializingSingleton;
import org.springframework.stereotype.Component;

/** A WebSocket at /socket that gives back what it is sent: a connection that outlives a cutover by as long as its client likes. */
@Component
public class EchoSocket implements SmartInitializingSingleton {

    private final ServletContext context;
    private final Identity identity;

    public EchoSocket(ServletContext context, Identity identity) {
        this.context = context;
        this.identity = identity;
    }

    @Override
    public void afterSingletonsInstantiated() {
        if (context.getAttribute(ServerContainer.class.getName()) instanceof ServerContainer container) {
            try {
                container.addEndpoint(ServerEndpointConfig.Builder.create(Echo.class, "/socket").configurator(new Configurator()).build());
            } catch (DeploymentException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    private final class Configurator extends ServerEndpointConfig.Configurator {
        @Override
        public <T> T getEndpointInstance(Class<T> type) {
            return type.cast(new Echo(identity));
        }
    }

    /** One connection; each answer begins with who gave it. */
    static final class Echo extends Endpoint {
        private final Identity identity;

        Echo(Identity identity) {
            this.identity = identity;
        }

        @Override
        public void onOpen(Session session, EndpointConfig config) {
            session.addMessageHandler(String.class, (MessageHandler.Whole<String>) text -> answer(session, text));
        }

        /**
         * Not by the asynchronous remote: a client that is quick sends its next text before Tomcat has noted that the answer to the one
         * before is out, and Tomcat then closes the connection over the "invalid state".
         */
        private void answer(Session session, String text) {
            try {
                session.getBasicRemote().sendText(identity.slot() + " " + identity.version() + " " + text);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
